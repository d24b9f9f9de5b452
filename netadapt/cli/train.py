"""``netadapt train``."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from netadapt.cli.common import parse_size, say
from netadapt.errors import UserError

if TYPE_CHECKING:
    from netadapt.training.loop import TrainSettings
    from netadapt.training.run import TrainConfig

Config = TypeVar("Config", "TrainConfig", "TrainSettings")
MAX_EPOCHS = 1_000_000


def train(
    out: Annotated[Path, typer.Option(help="Folder of the training.")],
    model: Annotated[
        str | None, typer.Option(help="Registry name, package.module:factory or checkpoint.")
    ] = None,
    data: Annotated[str | None, typer.Option(help="synthetic[:N], nyu:, pairs:, tum:")] = None,
    imagenet: Annotated[
        bool, typer.Option("--imagenet", help="Start from ImageNet weights (network needed).")
    ] = False,
    input_size: Annotated[str | None, typer.Option(help="HxW; 224x224 if not given.")] = None,
    epochs: Annotated[float | None, typer.Option(help="20 if not given; or --steps.")] = None,
    steps: Annotated[int | None, typer.Option(help="Optimiser steps.")] = None,
    batch_size: Annotated[int | None, typer.Option(help="8 if not given.")] = None,
    optimizer: Annotated[str | None, typer.Option(help="sgd (if not given) or adamw.")] = None,
    lr: Annotated[float | None, typer.Option(help="Peak learning rate; 0.01.")] = None,
    momentum: Annotated[float | None, typer.Option(help="0.9 if not given.")] = None,
    weight_decay: Annotated[float | None, typer.Option(help="1e-4 if not given.")] = None,
    schedule: Annotated[
        str | None, typer.Option(help="step (if not given), onecycle, cosine or constant.")
    ] = None,
    loss: Annotated[str | None, typer.Option(help="l1 (if not given) or berhu.")] = None,
    eval_every: Annotated[int | None, typer.Option(help="Steps between two scores; 500.")] = None,
    seed: Annotated[int | None, typer.Option(help="0 if not given.")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda[:N] or auto.")] = "cpu",
    resume: Annotated[bool, typer.Option("--resume", help="Go on; needs only --out.")] = False,
) -> None:
    """Train a depth network; kill it at any moment and go on with --resume."""
    from netadapt.cli.views import training_view
    from netadapt.training.depth import open_depth_task
    from netadapt.training.device import compute_device
    from netadapt.training.loop import TrainSettings
    from netadapt.training.run import TrainConfig, TrainFolder, read_config
    from netadapt.training.run import train as run

    where = compute_device(device)
    if resume:
        before = read_config(out)
    else:
        if model is None or data is None:
            raise UserError("a training needs --model and --data")
        before = TrainConfig(model, data, (224, 224), "l1", TrainSettings(steps=1), 500)
    settings = _changed(
        before.settings,
        batch_size=batch_size,
        optimizer=optimizer,
        lr=lr,
        momentum=momentum,
        weight_decay=weight_decay,
        schedule=schedule,
        seed=seed,
    )
    config = _changed(
        before,
        model=model,
        data=data,
        input_size=parse_size(input_size),
        loss=loss,
        eval_every=eval_every,
        options={"imagenet": True} if imagenet else None,
    )
    task = open_depth_task(config.data, config.input_size, loss=config.loss)
    if not resume or steps is not None or epochs is not None:
        total = _steps(steps, epochs, task.batches_per_epoch(settings.batch_size))
        settings = _changed(settings, steps=total)
    config = _changed(config, settings=settings)
    try:
        with training_view() as view:
            final = run(config, task, out, resume=resume, device=where, progress=view)
    except KeyboardInterrupt:
        if TrainFolder(out).config.exists():
            say(f"stopped; go on with: netadapt train --resume --out {out}")
        raise
    print(final)


def _changed(config: Config, **given: Any) -> Config:
    """Return ``config`` with what was given; ``None`` was not."""
    return replace(config, **{name: value for name, value in given.items() if value is not None})


def _steps(steps: int | None, epochs: float | None, per_epoch: int) -> int:
    if steps is not None and epochs is not None:
        raise UserError("give --steps or --epochs, not both")
    if steps is not None:
        return steps
    epochs = 20 if epochs is None else epochs
    if not 0 < epochs <= MAX_EPOCHS:
        raise UserError(f"--epochs {epochs:g} is not above 0 and at most {MAX_EPOCHS}")
    return max(1, round(epochs * per_epoch))
