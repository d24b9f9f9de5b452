"""``netadapt train``."""

from pathlib import Path
from typing import Annotated, Any

import typer

from netadapt.cli.common import parse_size, say
from netadapt.errors import UserError


def train(
    out: Annotated[Path, typer.Option(help="Folder of the training.")],
    model: Annotated[
        str | None, typer.Option(help="Registry name, package.module:factory or checkpoint.")
    ] = None,
    data: Annotated[str | None, typer.Option(help="synthetic[:N], nyu:, pairs:, tum:")] = None,
    init: Annotated[str | None, typer.Option(help="Checkpoint to start from.")] = None,
    imagenet: Annotated[
        bool, typer.Option("--imagenet", help="Start from ImageNet weights (network needed).")
    ] = False,
    input_size: Annotated[str, typer.Option(help="HxW")] = "224x224",
    epochs: Annotated[float | None, typer.Option(help="Instead of --steps.")] = None,
    steps: Annotated[int | None, typer.Option(help="Optimiser steps.")] = None,
    batch_size: Annotated[int, typer.Option()] = 8,
    optimizer: Annotated[str, typer.Option(help="sgd or adamw.")] = "sgd",
    lr: Annotated[float, typer.Option(help="Peak learning rate.")] = 0.01,
    momentum: Annotated[float, typer.Option()] = 0.9,
    weight_decay: Annotated[float, typer.Option()] = 1e-4,
    schedule: Annotated[str, typer.Option(help="step, onecycle, cosine or constant.")] = "step",
    loss: Annotated[str, typer.Option(help="l1 or berhu.")] = "l1",
    eval_every: Annotated[int, typer.Option(help="Steps between two scores.")] = 500,
    seed: Annotated[int, typer.Option()] = 0,
    device: Annotated[str, typer.Option(help="cpu or cuda[:N].")] = "cpu",
    resume: Annotated[bool, typer.Option("--resume", help="Go on; needs only --out.")] = False,
) -> None:
    """Train a depth network; kill it at any moment and go on with --resume."""
    from netadapt.cli.views import training_view
    from netadapt.training.depth import open_depth_task
    from netadapt.training.loop import TrainSettings
    from netadapt.training.run import TrainConfig, read_config
    from netadapt.training.run import train as run

    if resume:
        config = read_config(out)
        task = open_depth_task(config.data, config.input_size, loss=config.loss)
    else:
        start = init or model
        if start is None or data is None:
            raise UserError("a training needs --model (or --init) and --data")
        size = parse_size(input_size)
        assert size is not None
        task = open_depth_task(data, size, loss=loss)
        total = _steps(steps, epochs, task.batches_per_epoch(batch_size))
        options: dict[str, Any] = {"imagenet": True} if imagenet else {}
        settings = TrainSettings(
            steps=total,
            batch_size=batch_size,
            optimizer=optimizer,  # type: ignore[arg-type]
            lr=lr,
            momentum=momentum,
            weight_decay=weight_decay,
            schedule=schedule,  # type: ignore[arg-type]
            seed=seed,
        )
        config = TrainConfig(start, data, size, loss, settings, eval_every, options)
    try:
        with training_view() as view:
            final = run(config, task, out, resume=resume, device=device, progress=view)
    except KeyboardInterrupt:
        say(f"stopped; go on with: netadapt train --resume --out {out}")
        raise
    print(final)


def _steps(steps: int | None, epochs: float | None, per_epoch: int) -> int:
    if steps is not None and epochs is not None:
        raise UserError("give --steps or --epochs, not both")
    if steps is not None:
        return steps
    return max(1, round((20 if epochs is None else epochs) * per_epoch))
