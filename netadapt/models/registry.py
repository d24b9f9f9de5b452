"""Networks by name: those that come with netadapt, and the user's as ``package.module:factory``.

The registry holds names alone: nothing of a network is imported before it is built.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from netadapt.errors import UserError
from netadapt.factories import factory_named, from_file, made
from netadapt.models.spec import ModelSpec


@dataclass(frozen=True)
class Entry:
    """A network of the registry.

    Attributes:
        factory: what builds it, as ``package.module:factory``.
        options: arguments that the name stands for; a user's own come on top.
        recipe: how it is trained unless the user says otherwise, a
            :class:`~netadapt.training.recipes.Recipe` as ``package.module:NAME``.
    """

    factory: str
    options: Mapping[str, Any] = field(default_factory=dict)
    recipe: str | None = None


_DEPTH = "netadapt.depth.models"
_RECIPES = "netadapt.depth.recipes"
_VARIANT = f"{_DEPTH}.fastdepth_variants:FastDepthVariant"
_FASTDEPTH_RECIPE = f"{_RECIPES}:FASTDEPTH"

MODELS: dict[str, Entry] = {
    "fastdepth": Entry(f"{_DEPTH}.fastdepth:FastDepth", recipe=_FASTDEPTH_RECIPE),
    "fastdepth-pruned": Entry(
        f"{_DEPTH}.fastdepth:FastDepth", {"widths": "pruned"}, _FASTDEPTH_RECIPE
    ),
    "fastdepth-nnconv5": Entry(_VARIANT, {"decoder": "plain", "skips": "none"}, _FASTDEPTH_RECIPE),
    "fastdepth-no-skips": Entry(_VARIANT, {"skips": "none"}, _FASTDEPTH_RECIPE),
    "fastdepth-skip-concat": Entry(_VARIANT, {"skips": "concat"}, _FASTDEPTH_RECIPE),
    "fastdepth-timm": Entry(_VARIANT, recipe=_FASTDEPTH_RECIPE),
    "monodepth2": Entry(f"{_DEPTH}.monodepth2:Monodepth2", recipe=f"{_RECIPES}:MONODEPTH2"),
    "densedepth": Entry(f"{_DEPTH}.densedepth:DenseDepth", recipe=f"{_RECIPES}:DENSEDEPTH"),
    "onnx": Entry("netadapt.models.onnx_file:from_onnx"),
    "lapdepth": Entry(f"{_DEPTH}.lapdepth:LapDepth", recipe=f"{_RECIPES}:LAPDEPTH"),
}

# readers of files that hold a network in another format, by the ending of the name
READERS: dict[str, str] = {
    **dict.fromkeys((".pth", ".pt", ".tar"), f"{_DEPTH}.official:load_official"),
    ".onnx": "netadapt.deployment.deployed:load_deployed",
}


def build(name: str, **options: Any) -> nn.Module:
    """Build a network with fresh weights; it carries its :class:`ModelSpec` as ``spec``.

    Args:
        name: a name of the registry, or ``package.module:factory``, which is imported (from the
            current folder too) and called.
        options: keyword arguments of the factory, as JSON can hold them.

    Raises:
        UserError: an unknown name, a module or factory that cannot be imported, an option that
            the factory does not take, or a factory that fails or returns no network.
    """
    if name not in MODELS and ":" not in name:
        raise UserError(
            f"unknown model {name!r}; known: {', '.join(MODELS)}, or package.module:factory"
        )
    entry = MODELS.get(name, Entry(name))
    model = made(name, "model", factory_named(entry.factory, "model"), {**entry.options, **options})
    if not isinstance(model, nn.Module):
        raise UserError(
            f"{name} returned {type(model).__name__}; a factory returns a torch.nn.Module"
        )
    if not isinstance(getattr(model, "spec", None), ModelSpec):
        if hasattr(model, "spec"):
            raise UserError(f"the network of {name} has an attribute 'spec' of its own; rename it")
        model.spec = ModelSpec(name, _lasting(name, options))  # type: ignore[assignment]
    return model


def read_weights(path: Path) -> nn.Module:
    """Return the network in a file that others published, in eval mode.

    Raises:
        UserError: no such file, or one that its reader does not understand.
    """
    network: nn.Module = factory_named(READERS[path.suffix], "model")(path)
    return network


def _lasting(name: str, options: dict[str, Any]) -> dict[str, Any]:
    """The options that rebuild a network whose weights come from elsewhere."""
    return from_file(options) if name in MODELS else options
