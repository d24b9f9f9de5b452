"""``netadapt evaluate``."""

from typing import Annotated

import typer

from netadapt.cli.common import Json, parse_size, print_json


def evaluate(
    checkpoint: Annotated[str, typer.Argument(metavar="CHECKPOINT")],
    data: Annotated[str, typer.Option(help="synthetic[:N], nyu:, pairs:, tum:")],
    split: Annotated[str, typer.Option(help="test or holdout.")] = "test",
    input_size: Annotated[
        str | None, typer.Option(help="HxW; a checkpoint brings its own.")
    ] = None,
    as_json: Annotated[bool, Json] = False,
) -> None:
    """Score a network on a split: RMSE, MAE in metres, iRMSE in 1/m."""
    from netadapt.cli.models import load_with_input, say_if_fresh
    from netadapt.errors import UserError
    from netadapt.training.depth import open_depth_task

    if split not in ("test", "holdout"):
        raise UserError(f"unknown split {split!r}; known: test, holdout")
    model, example = load_with_input(checkpoint, parse_size(input_size))
    height, width = example.shape[-2:]
    task = open_depth_task(data, (height, width))
    scores = task.score(model, "test" if split == "test" else "holdout")
    say_if_fresh(checkpoint)
    if as_json:
        print_json({"checkpoint": checkpoint, "data": data, "split": split, **scores})
        return
    for name, value in scores.items():
        print(f"{name:<8} {value:.4f}")
