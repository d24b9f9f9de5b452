"""Completes the options that a user gives to a whole training configuration."""

from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from netadapt.errors import UserError
from netadapt.factories import from_file, trust_named
from netadapt.training.folder import TrainFolder, read_config
from netadapt.training.recipes import Recipe, recipe_for
from netadapt.training.settings import TrainConfig, TrainRequest, TrainSettings
from netadapt.training.task import Task
from netadapt.training.tasks import open_task

SETTINGS = {field.name for field in fields(TrainSettings)}
REQUEST = {field.name for field in fields(TrainRequest)}


def planned_training(
    given: Mapping[str, Any], out: Path, resume: bool = False
) -> tuple[TrainConfig, Task]:
    """Complete the options that a user gives.

    Args:
        given: options of ``TrainConfig``, ``TrainSettings`` and ``TrainRequest``, by name. A new
            training takes all others from the recipe of its network; a resumed one from ``out``.
        out: the folder of the training.
        resume: whether to continue the training in ``out``.

    Raises:
        UserError: ``model`` or ``data`` is missing, a value is wrong, or the task cannot be opened.
    """
    own = {name: value for name, value in given.items() if name not in SETTINGS | REQUEST}
    if resume:
        trust_named(own.get("model"), own.get("task"))
    recipe = None if resume else _recipe(own)
    before = read_config(out) if recipe is None else _starting(own, recipe)
    if resume and not own.get("model_options") and not TrainFolder(out).last.exists():
        _refuse_downloads(before, out)
    if own.get("init_from") is not None:
        own["init_from"] = str(own["init_from"])
    own["task_options"] = {**before.task_options, **own.get("task_options", {})}
    config = replace(before, **own)
    task = open_task(config.task, config.data, config.input_size, config.task_options)
    asked = {name: value for name, value in given.items() if name in SETTINGS}
    request = TrainRequest(**{name: value for name, value in given.items() if name in REQUEST})
    settings = replace(before.settings, **asked)
    if "steps" in asked and request.epochs is not None:
        raise UserError("give --steps or --epochs, not both")
    if "steps" not in asked and (recipe is not None or request.epochs is not None):
        usual = Recipe(settings).epochs if recipe is None else recipe.epochs
        epochs = request.epochs or usual
        total = max(1, round(epochs * task.batches_per_epoch(settings.batch_size)))
        settings = replace(settings, steps=total)
    if recipe is not None:
        settings = replace(settings, decay_every=recipe.decay_every(settings.steps))
    return replace(config, settings=settings, input_size=task.input_size), task


def _refuse_downloads(config: TrainConfig, out: Path) -> None:
    """Refuse to download weights only because a file says so: the user must ask for it."""
    left = config.model_options.keys() - from_file(config.model_options).keys()
    if left:
        raise UserError(
            f"the training in {out} starts from downloaded weights ({', '.join(left)}), and "
            "has not saved any yet; add --imagenet, or start again in another folder"
        )


def _recipe(own: Mapping[str, Any]) -> Recipe:
    if own.get("model") is None or (own.get("data") is None and own.get("task") is None):
        raise UserError("a training needs --model and --data")
    return recipe_for(str(own["model"]), own.get("task"))


def _starting(own: Mapping[str, Any], recipe: Recipe) -> TrainConfig:
    return TrainConfig(
        model=str(own["model"]),
        data=own.get("data"),
        input_size=recipe.input_size,
        settings=recipe.settings,
        task=recipe.task,
        task_options=recipe.task_options,
    )
