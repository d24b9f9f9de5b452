"""``netadapt evaluate``."""

from typing import Annotated, Any

import typer

from netadapt.cli.common import (
    Inputs,
    InputSize,
    Json,
    NoDevice,
    Output,
    TaskOption,
    key_values,
    parse_size,
    print_json,
    say,
)
from netadapt.options import DATA


def evaluate(
    checkpoint: Annotated[
        str,
        typer.Argument(
            metavar="CHECKPOINT", help="A checkpoint, a registry name or package.module:factory."
        ),
    ],
    data: Annotated[
        str | None, typer.Option(metavar="TEXT", help=f"{DATA} [default: none]")
    ] = None,
    task: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            help="What the network is for: depth, self-supervised, digits or "
            "package.module:factory.",
        ),
    ] = "depth",
    split: Annotated[
        str, typer.Option(metavar="NAME", help="Which part of the data to score: test or holdout.")
    ] = "test",
    protocol: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="How depth is scored (task depth): fastdepth, fastdepth-official, eigen-nyu, "
            "densedepth-nyu, lapdepth-nyu, eigen-kitti, garg-kitti, lapdepth-kitti, monodepth2 or "
            "monodepth2-stereo. [default: fastdepth]",
        ),
    ] = None,
    input_size: InputSize = None,
    inputs: Inputs = None,
    output: Output = None,
    task_option: TaskOption = None,
    train_on: Annotated[
        str, typer.Option(metavar="DEVICE", help="Where the network runs: cpu, cuda[:N] or auto.")
    ] = "cpu",
    device: NoDevice = None,
    as_json: Annotated[bool, Json] = False,
) -> None:
    """Score a network on a split: RMSE and MAE in METRES (not millimetres), iRMSE in 1/m."""
    from netadapt.api import open_evaluation
    from netadapt.cli.models import say_if_fresh
    from netadapt.depth.metrics import UNITS
    from netadapt.errors import UserError
    from netadapt.training.device import compute_device

    if split not in ("test", "holdout"):
        raise UserError(f"unknown split {split!r}; known: test, holdout")
    where = compute_device(train_on)
    options = key_values("--task-option", task_option or [])
    if protocol is not None:
        options["protocol"] = protocol
    model, problem = open_evaluation(
        checkpoint, data, task, parse_size(input_size), options, inputs or (), output
    )
    problem.check(model)
    scores = problem.score(model.to(where), "test" if split == "test" else "holdout")
    say_if_fresh(checkpoint)
    if problem.note:
        say(problem.note)
    if as_json:
        facts: dict[str, Any] = {
            "checkpoint": checkpoint,
            "task": task,
            "data": data,
            "split": split,
        }
        print_json(facts | dict(problem.scoring) | scores)
        return
    for name, value in scores.items():
        print(f"{name:<8} {value:.4f} {UNITS.get(name, '')}".rstrip())
