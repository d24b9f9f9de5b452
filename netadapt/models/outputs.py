"""Choosing one map of what a network answers with."""

import inspect
import re
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

from torch import Tensor, nn

from netadapt.errors import UserError
from netadapt.models.spec import ModelSpec

# fields, keys and places, the outermost first: predicted_depth, maps.final, 0
OUTPUT = re.compile(r"[A-Za-z0-9]\w*(\.[A-Za-z0-9]\w*)*", re.ASCII)


def with_output(model: nn.Module, name: str) -> nn.Module:
    """Let ``model`` answer with one map of what it answers now; return it.

    Its layers keep their names: only its class becomes one that picks the map. A network that
    already picks one picks another then.

    Args:
        model: a network that answers with a dictionary, a list or tuple, a dataclass, or another
            object with fields, such as the ``ModelOutput`` of Hugging Face.
        name: the field, the key, or the place from 0; behind a dot, one within it:
            ``predicted_depth``, ``0``, ``maps.final``.

    Raises:
        UserError: no such name can be; when it runs: the answer has no such map.
    """
    if not OUTPUT.fullmatch(name):
        raise UserError(
            f"--output {name[:100]!r} is not a field, a key or a place of what the network answers "
            "with, as in predicted_depth or 0"
        )
    if hasattr(model, "deployed_shape"):
        raise UserError(f"--output {name}: an exported file answers with its first output")
    kind: Any = type(model)
    model.__class__ = _picking(getattr(kind, "netadapt_whole", kind), name)
    spec = getattr(model, "spec", None)
    if isinstance(spec, ModelSpec):
        model.spec = replace(spec, output=name)  # type: ignore[assignment]
    return model


@cache
def _picking(kind: type[nn.Module], name: str) -> type[nn.Module]:
    """Return a class of networks that answer with one map of what those of ``kind`` do."""

    def forward(self: nn.Module, *args: Any, **kwargs: Any) -> Tensor:
        return _picked(kind.forward(self, *args, **kwargs), name, kind.__name__)

    forward.__signature__ = inspect.signature(kind.forward)  # type: ignore[attr-defined]
    own = {
        "forward": forward,
        "netadapt_whole": kind,
        "__module__": kind.__module__,
        "__qualname__": kind.__qualname__,
        "__doc__": kind.__doc__,
    }
    return type(kind.__name__, (kind,), own)


def _picked(answer: Any, name: str, network: str) -> Tensor:
    found = answer
    for part in name.split("."):
        there = _parts(found)
        if part not in there:
            known = ", ".join(there) or f"a {type(found).__name__} alone"
            raise UserError(
                f"--output {name}: {network} does not answer with {part!r}; it answers with {known}"
            )
        found = there[part]
    if not isinstance(found, Tensor):
        inside = ", ".join(f"{name}.{part}" for part in _parts(found))
        hint = f"; name one of {inside}" if inside else ""
        raise UserError(f"--output {name}: it is a {type(found).__name__} and no tensor{hint}")
    return found


def _parts(value: Any) -> dict[str, Any]:
    """Return what is in a container by name."""
    if isinstance(value, Tensor):
        return {}
    if isinstance(value, Mapping):
        return {str(key): item for key, item in value.items()}
    if isinstance(value, list | tuple):
        places = {str(place): item for place, item in enumerate(value)}
        fields = getattr(value, "_fields", ())  # of a named tuple
        return {**dict(zip(fields, value, strict=False)), **places}
    own = getattr(value, "__dict__", {})
    return {key: item for key, item in own.items() if not key.startswith("_")}
