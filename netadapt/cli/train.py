"""``netadapt train``."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from netadapt.cli.common import BadSample, TaskOption, key_values, parse_size, say, task_options
from netadapt.errors import UserError
from netadapt.factories import from_file, trust_named, trust_words

if TYPE_CHECKING:
    from netadapt.training.loop import TrainSettings
    from netadapt.training.run import TrainConfig

Config = TypeVar("Config", "TrainConfig", "TrainSettings")
MAX_EPOCHS = 1_000_000
RECIPE = "of the network's recipe if not given"


def train(
    out: Annotated[Path, typer.Option(help="Folder of the training.")],
    model: Annotated[
        str | None, typer.Option(help="Registry name, package.module:factory or checkpoint.")
    ] = None,
    model_option: Annotated[
        list[str] | None, typer.Option(help="KEY=VALUE for the network's builder; repeatable.")
    ] = None,
    init_from: Annotated[
        Path | None,
        typer.Option(help="Load the layers that fit from this file: checkpoint or timm weights."),
    ] = None,
    imagenet: Annotated[
        bool, typer.Option("--imagenet", help="Start from ImageNet weights (network needed).")
    ] = False,
    task: Annotated[
        str | None,
        typer.Option(help=f"depth, self-supervised, digits or package.module:factory; {RECIPE}."),
    ] = None,
    data: Annotated[
        str | None, typer.Option(help="synthetic[:N], nyu:, pairs:, tum:, kitti:, sequence:")
    ] = None,
    input_size: Annotated[str | None, typer.Option(help=f"HxW; {RECIPE}.")] = None,
    epochs: Annotated[float | None, typer.Option(help=f"{RECIPE}; or --steps.")] = None,
    steps: Annotated[int | None, typer.Option(help="Optimiser steps.")] = None,
    batch_size: Annotated[int | None, typer.Option(help=f"{RECIPE}.")] = None,
    optimizer: Annotated[str | None, typer.Option(help=f"sgd, adamw or amsgrad; {RECIPE}.")] = None,
    lr: Annotated[float | None, typer.Option(help=f"Peak learning rate; {RECIPE}.")] = None,
    momentum: Annotated[float | None, typer.Option(help="0.9 if not given.")] = None,
    weight_decay: Annotated[float | None, typer.Option(help=f"{RECIPE}.")] = None,
    decoder_weight_decay: Annotated[
        float | None, typer.Option(help=f"Outside the encoder; {RECIPE}.")
    ] = None,
    schedule: Annotated[
        str | None,
        typer.Option(help=f"step, onecycle, cosine, polynomial or constant; {RECIPE}."),
    ] = None,
    loss: Annotated[
        str | None,
        typer.Option(help=f"l1, l1-log, berhu, silog, silog-gradient or densedepth; {RECIPE}."),
    ] = None,
    ema: Annotated[
        float | None, typer.Option(help="Average the weights with this decay, such as 0.999.")
    ] = None,
    precision: Annotated[
        str | None,
        typer.Option(help="fp32 or bf16; bf16 on CUDA, else fp32."),
    ] = None,
    eval_every: Annotated[int | None, typer.Option(help="Steps between two scores; 500.")] = None,
    on_bad_sample: BadSample = None,
    task_option: TaskOption = None,
    seed: Annotated[int | None, typer.Option(help="0 if not given.")] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda[:N] or auto.")] = "cpu",
    resume: Annotated[bool, typer.Option("--resume", help="Go on; needs only --out.")] = False,
) -> None:
    """Train a network; kill it at any moment and go on with --resume."""
    from netadapt.cli.views import training_view
    from netadapt.training.device import compute_device
    from netadapt.training.recipes import EVAL_EVERY, recipe_for
    from netadapt.training.run import TrainConfig, TrainFolder, read_config
    from netadapt.training.run import train as run
    from netadapt.training.tasks import open_task

    where = compute_device(device)
    recipe = None
    if resume:
        trust_named(model, task)
        before = read_config(out)
        if not imagenet and not TrainFolder(out).last.exists():
            _refuse_downloads(before, out)
    else:
        if model is None or (data is None and task is None):
            raise UserError("a training needs --model and --data")
        recipe = recipe_for(model, task)
        before = TrainConfig(
            model,
            data,
            recipe.input_size,
            recipe.settings,
            EVAL_EVERY,
            {},
            recipe.task,
            recipe.task_options,
        )
    config = _changed(
        before,
        model=model,
        task=task,
        data=data,
        input_size=parse_size(input_size),
        task_options=dict(before.task_options)
        | task_options(task_option, loss=loss, on_bad_sample=on_bad_sample),
        eval_every=eval_every,
        init_from=None if init_from is None else str(init_from),
        options=key_values("--model-option", model_option or [])
        | ({"imagenet": True} if imagenet else {})
        or None,
    )
    problem = open_task(config.task, config.data, config.input_size, config.task_options)
    if problem.note:
        say(problem.note)
    settings = _changed(
        before.settings,
        batch_size=batch_size,
        optimizer=optimizer,
        lr=lr,
        momentum=momentum,
        weight_decay=weight_decay,
        decoder_weight_decay=decoder_weight_decay,
        schedule=schedule,
        seed=seed,
        ema=ema,
        precision=precision,
    )
    if recipe is not None or steps is not None or epochs is not None:
        per_epoch = problem.batches_per_epoch(settings.batch_size)
        total = _steps(steps, epochs, per_epoch, 20 if recipe is None else recipe.epochs)
        settings = _changed(settings, steps=total)
        if recipe is not None:
            settings = _changed(settings, decay_every=recipe.decay_every(total))
    config = _changed(config, settings=settings, input_size=problem.input_size)
    try:
        with training_view() as view:
            final = run(config, problem, out, resume=resume, device=where, progress=view)
    except KeyboardInterrupt:
        if TrainFolder(out).config.exists():
            say(f"stopped; go on with: netadapt train --resume --out {out}{trust_words()}")
        raise
    print(final)


def _refuse_downloads(config: "TrainConfig", out: Path) -> None:
    """A file may not ask for weights from the network: a training that begins anew needs a word."""
    left = config.options.keys() - from_file(config.options).keys()
    if left:
        raise UserError(
            f"the training in {out} begins with weights from the network ({', '.join(left)}), and "
            "has not saved any yet; add --imagenet, or train anew elsewhere"
        )


def _changed(config: Config, **given: Any) -> Config:
    """Return ``config`` with what was given; ``None`` was not."""
    return replace(config, **{name: value for name, value in given.items() if value is not None})


def _steps(steps: int | None, epochs: float | None, per_epoch: int, usual: float) -> int:
    if steps is not None and epochs is not None:
        raise UserError("give --steps or --epochs, not both")
    if steps is not None:
        return steps
    epochs = usual if epochs is None else epochs
    if not 0 < epochs <= MAX_EPOCHS:
        raise UserError(f"--epochs {epochs:g} is not above 0 and at most {MAX_EPOCHS}")
    return max(1, round(epochs * per_epoch))
