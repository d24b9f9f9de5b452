"""``netadapt evaluate``."""

from typing import Annotated, Any

import typer

from netadapt.cli.common import Json, TaskOption, parse_size, print_json, say, task_options


def evaluate(
    checkpoint: Annotated[str, typer.Argument(metavar="CHECKPOINT")],
    data: Annotated[
        str | None, typer.Option(help="synthetic[:N], nyu:, pairs:, tum:, kitti: or sequence:")
    ] = None,
    task: Annotated[
        str, typer.Option(help="depth, self-supervised, digits or package.module:factory.")
    ] = "depth",
    split: Annotated[str, typer.Option(help="test or holdout.")] = "test",
    protocol: Annotated[
        str | None,
        typer.Option(
            help="Of task depth: fastdepth (if not given), fastdepth-official, eigen-nyu, "
            "densedepth-nyu, lapdepth-nyu, eigen-kitti, garg-kitti, lapdepth-kitti, monodepth2 or "
            "monodepth2-stereo."
        ),
    ] = None,
    input_size: Annotated[
        str | None, typer.Option(help="HxW; a checkpoint brings its own.")
    ] = None,
    task_option: TaskOption = None,
    device: Annotated[str, typer.Option(help="cpu, cuda[:N] or auto.")] = "cpu",
    as_json: Annotated[bool, Json] = False,
) -> None:
    """Score a network on a split: RMSE and MAE in METRES (not millimetres), iRMSE in 1/m."""
    from netadapt.cli.models import load_with_input, say_if_fresh
    from netadapt.depth.metrics import UNITS
    from netadapt.errors import UserError
    from netadapt.training.device import compute_device
    from netadapt.training.tasks import open_task

    if split not in ("test", "holdout"):
        raise UserError(f"unknown split {split!r}; known: test, holdout")
    where = compute_device(device)
    model, example = load_with_input(checkpoint, parse_size(input_size))
    height, width = example.shape[-2:]
    problem = open_task(task, data, (height, width), task_options(task_option, protocol=protocol))
    scores = problem.score(model.to(where), "test" if split == "test" else "holdout")
    say_if_fresh(checkpoint)
    if problem.note:
        say(problem.note)
    if as_json:
        asked: dict[str, Any] = {
            "checkpoint": checkpoint,
            "task": task,
            "data": data,
            "split": split,
        }
        print_json(asked | dict(problem.scoring) | scores)
        return
    for name, value in scores.items():
        print(f"{name:<8} {value:.4f} {UNITS.get(name, '')}".rstrip())
