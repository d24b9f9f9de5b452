"""How each network was trained by its authors; what ``netadapt train`` does unless told others."""

from dataclasses import dataclass, replace

from netadapt.models import ModelSpec
from netadapt.training.checkpoint import is_file_reference, load_model
from netadapt.training.loop import TrainSettings

EVAL_EVERY = 500


@dataclass(frozen=True)
class Recipe:
    """A way to train a network.

    Attributes:
        input_size: ``(H, W)``, or None for the task's own.
        settings: optimizer, rates and batch size; its ``steps`` mean nothing.
        task: what :func:`netadapt.training.open_task` takes.
        loss: a loss of the task, or None for its own.
        epochs: how often every training example is seen.
        decay_share: of the run, after which ``step`` divides the rate by ten; None is a third.
    """

    input_size: tuple[int, int] | None
    settings: TrainSettings
    task: str = "depth"
    loss: str | None = "l1"
    epochs: float = 20
    decay_share: float | None = None

    def decay_every(self, steps: int) -> int | None:
        """Return ``TrainSettings.decay_every`` of a run of that many steps."""
        return None if self.decay_share is None else max(1, round(self.decay_share * steps))


FASTDEPTH = Recipe((224, 224), TrainSettings(steps=1))
MONODEPTH2 = Recipe(
    (192, 640),
    TrainSettings(steps=1, batch_size=12, optimizer="adamw", lr=1e-4, weight_decay=0.0),
    task="self-supervised",
    loss=None,
    decay_share=15 / 20,
)
DENSEDEPTH = Recipe(
    (480, 640),
    TrainSettings(
        steps=1,
        batch_size=8,
        optimizer="amsgrad",
        lr=1e-4,
        weight_decay=0.0,
        schedule="constant",
    ),
    loss="densedepth",
)
LAPDEPTH = Recipe(
    (416, 544),
    TrainSettings(
        steps=1,
        batch_size=16,
        optimizer="adamw",
        lr=1e-4,
        weight_decay=1e-2,
        decoder_weight_decay=0.0,
        schedule="polynomial",
    ),
    loss="silog",
    epochs=50,
)
RECIPES = {"monodepth2": MONODEPTH2, "densedepth": DENSEDEPTH, "lapdepth": LAPDEPTH}


def recipe_for(model: str, task: str | None = None) -> Recipe:
    """Return the recipe of a network; FastDepth's for those that have none of their own.

    Args:
        model: whatever ``load_model`` takes; a file has the recipe of its network, and its own
            input size.
        task: the task, if it is not to be the recipe's; loss and input size are then its own.

    Raises:
        UserError: ``model`` is a file that cannot be loaded.
    """
    size = None
    if is_file_reference(model):
        spec = load_model(model).spec
        assert isinstance(spec, ModelSpec)
        model, size = spec.name, spec.input_size
    recipe = RECIPES.get(model, FASTDEPTH)
    if task is not None and task != recipe.task:
        recipe = replace(recipe, task=task, loss=None, input_size=None)
    return recipe if size is None else replace(recipe, input_size=size)
