"""Networks by name: our own, and the user's as ``package.module:factory``."""

from collections.abc import Callable
from functools import partial
from typing import Any

from torch import nn

from netadapt.errors import UserError
from netadapt.factories import factory_named, made
from netadapt.models.densedepth import DenseDepth
from netadapt.models.fastdepth import FastDepth
from netadapt.models.fastdepth_variants import FastDepthVariant
from netadapt.models.lapdepth import LapDepth
from netadapt.models.monodepth2 import Monodepth2
from netadapt.models.spec import ModelSpec

BUILDERS: dict[str, Callable[..., nn.Module]] = {
    "fastdepth": FastDepth,
    "fastdepth-pruned": partial(FastDepth, widths="pruned"),
    "fastdepth-nnconv5": partial(FastDepthVariant, decoder="plain", skips="none"),
    "fastdepth-no-skips": partial(FastDepthVariant, skips="none"),
    "fastdepth-skip-concat": partial(FastDepthVariant, skips="concat"),
    "fastdepth-timm": FastDepthVariant,
    "monodepth2": Monodepth2,
    "densedepth": DenseDepth,
    "lapdepth": LapDepth,
}


def build(name: str, **options: Any) -> nn.Module:
    """Build a network with fresh weights; it carries its :class:`ModelSpec` as ``spec``.

    Args:
        name: a name of the registry, or ``package.module:factory``, which is imported (from the
            current folder too) and called.
        options: keyword arguments of the builder, as JSON can hold them.

    Raises:
        UserError: an unknown name, a module or factory that cannot be imported, an option that
            the builder does not take, or a factory that fails or returns no network.
    """
    builder = factory_named(name, "model") if ":" in name else BUILDERS.get(name)
    if builder is None:
        raise UserError(
            f"unknown model {name!r}; known: {', '.join(BUILDERS)}, or package.module:factory"
        )
    model = made(name, "model", builder, **options)
    if not isinstance(model, nn.Module):
        raise UserError(
            f"{name} returned {type(model).__name__}; a factory returns a torch.nn.Module"
        )
    if not isinstance(getattr(model, "spec", None), ModelSpec):
        if hasattr(model, "spec"):
            raise UserError(f"the network of {name} has an attribute 'spec' of its own; rename it")
        model.spec = ModelSpec(name, _lasting(name, options))  # type: ignore[assignment]
    return model


def _lasting(name: str, options: dict[str, Any]) -> dict[str, Any]:
    """The options that rebuild a network whose weights come from elsewhere."""
    if name not in BUILDERS:
        return options
    return {key: value for key, value in options.items() if key != "imagenet"}
