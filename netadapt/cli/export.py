"""``netadapt export``."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from netadapt.cli.common import (
    Inputs,
    InputSize,
    Json,
    Output,
    TaskOption,
    key_values,
    parse_size,
    print_json,
    say,
)

if TYPE_CHECKING:
    from torch import nn

    from netadapt.deployment.api import Exported
    from netadapt.training.task import Scores, Task


def export(
    checkpoint: Annotated[
        str,
        typer.Argument(
            metavar="CHECKPOINT", help="A checkpoint, a registry name or package.module:factory."
        ),
    ],
    out: Annotated[
        Path, typer.Option(metavar="FILE.onnx", help="File to write; FILE.pte for ExecuTorch.")
    ],
    precision: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="fp32, fp16 (half the size, for GPUs) or int8 (a quarter of the size, for CPUs).",
        ),
    ] = "fp32",
    calibration_data: Annotated[
        str | None,
        typer.Option(
            metavar="TEXT",
            help="Data, as --data takes it. Its training images set the int8 ranges; the network "
            "and the written file are scored on its test split. [default: none]",
        ),
    ] = None,
    calibration_frames: Annotated[
        int,
        typer.Option(min=1, max=4096, metavar="IMAGES", help="Images that set the int8 ranges."),
    ] = 64,
    task: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="What the network is for: depth, self-supervised, digits or "
            "package.module:factory.",
        ),
    ] = "depth",
    task_option: TaskOption = None,
    rewrite: Annotated[
        bool,
        typer.Option(
            help="Compute 1x1 layers before a nearest upsampling instead of after it: the same "
            "answers, fewer pixels."
        ),
    ] = True,
    input_size: InputSize = None,
    inputs: Inputs = None,
    output: Output = None,
    as_json: Annotated[bool, Json] = False,
) -> None:
    """Write a network as one ONNX file in the precision it will run in, and check the file."""
    from netadapt.cli.models import load_with_input, say_if_fresh
    from netadapt.deployment.api import check_request, export
    from netadapt.models.inputs import image_size
    from netadapt.training.calibration import calibration_frames as frames_of
    from netadapt.training.tasks import open_task

    wanted = check_request(out, precision, calibrated=calibration_data is not None)
    model, example = load_with_input(
        checkpoint, parse_size(input_size), inputs=inputs or (), output=output
    )
    problem = frames = None
    if calibration_data is not None:
        options = key_values("--task-option", task_option or [])
        problem = open_task(task, calibration_data, image_size(example), options)
        frames = frames_of(problem, calibration_frames)
    made = export(model, example, out, precision=wanted, calibration=frames, rewrite=rewrite)
    say_if_fresh(checkpoint)
    scores = _scores(problem, model, _deployed(out, len(example))) if problem else {}
    if as_json:
        print_json({**asdict(made), "checkpoint": checkpoint, "scores": scores})
    else:
        print(out)
        _show(made, scores)


def _deployed(path: Path, batch: int) -> "nn.Module":
    """The written file as a network."""
    from netadapt.deployment.api import EXECUTORCH
    from netadapt.deployment.deployed import load_deployed
    from netadapt.deployment.executorch import LoweredNetwork

    return LoweredNetwork(path, batch) if path.suffix == EXECUTORCH else load_deployed(path)


def _scores(problem: "Task", model: "nn.Module", deployed: "nn.Module") -> dict[str, "Scores"]:
    return {
        "network": problem.score(model, "test"),
        "file": problem.score(deployed, "test"),
    }


def _show(made: "Exported", scores: dict[str, Any]) -> None:
    from netadapt.profiling.agent.host import cpu_features
    from netadapt.profiling.agent.precision import problem

    size, full = (count / 1e6 for count in (made.size_bytes, made.fp32_bytes))
    say(f"{made.precision}, {size:.2f} MB; in fp32 {full:.2f} MB")
    say(
        f"fp32 graph: differs from the network by at most {made.rewrite_error:.1e} of the largest "
        f"output; 1x1 layers moved before an upsampling: {made.moved_layers}"
    )
    if made.precision != "fp32":
        share = 100 * made.precision_error
        say(f"{made.precision} file: differs from fp32 by {share:.2f} % of the mean output")
    if made.precision == "int8" and problem("onnxruntime", "int8", cpu_features()):
        say(
            "this CPU has no int8 instructions (VNNI or dotprod). The scores are those on a CPU "
            "that has them; on this CPU the file can give other answers"
        )
    for name, value in scores.get("file", {}).items():
        say(f"{name:<8} {value:.4f} (network {scores['network'][name]:.4f})")
