"""How a network is trained unless the user says otherwise."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from pydantic import JsonValue

from netadapt.factories import named
from netadapt.models import MODELS, ModelSpec
from netadapt.training.checkpoint import is_file_reference, load_model
from netadapt.training.settings import DEFAULT_TASK, TrainSettings


@dataclass(frozen=True)
class Recipe:
    """A way to train a network.

    Attributes:
        settings: optimizer, rates and batch size; its ``steps`` are ignored.
        input_size: ``(H, W)``, or ``None`` for the task's own.
        task: what :func:`netadapt.training.open_task` takes.
        task_options: options of the task, such as its loss.
        epochs: how often every training example is seen.
        decay_share: share of the run after which schedule ``step`` divides the rate by ten.
            Default: a third.
    """

    settings: TrainSettings
    input_size: tuple[int, int] | None = None
    task: str = DEFAULT_TASK
    task_options: Mapping[str, JsonValue] = field(default_factory=dict)
    epochs: float = 20
    decay_share: float | None = None

    def decay_every(self, steps: int) -> int | None:
        """Return ``TrainSettings.decay_every`` of a run of that many steps."""
        return None if self.decay_share is None else max(1, round(self.decay_share * steps))


# for networks that have no recipe of their own
GENERAL = Recipe(TrainSettings(steps=1, optimizer="adamw", lr=1e-3, schedule="onecycle"))


def recipe_for(model: str, task: str | None = None) -> Recipe:
    """Return the recipe of a network, or ``GENERAL`` if it has none of its own.

    Args:
        model: whatever ``load_model`` takes; a file has the recipe of its network, with the
            file's input size.
        task: a task to use in place of the recipe's; its options and input size are then the
            task's own.

    Raises:
        UserError: ``model`` is a file that cannot be loaded.
    """
    size = None
    if is_file_reference(model):
        spec = load_model(model).spec
        assert isinstance(spec, ModelSpec)
        model, size = spec.name, spec.input_size
    recipe = recipe_of(model)
    if task is not None and task != recipe.task:
        recipe = replace(recipe, task=task, task_options={}, input_size=None)
    return recipe if size is None else replace(recipe, input_size=size)


def recipe_of(name: str) -> Recipe:
    """Return the recipe of the network ``name``, of the registry or of the user."""
    entry = MODELS.get(name)
    if entry is None or entry.recipe is None:
        return GENERAL
    found = named(entry.recipe, "recipe")
    assert isinstance(found, Recipe)
    return found
