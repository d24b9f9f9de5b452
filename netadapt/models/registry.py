"""Networks by name: our own, and the user's as ``package.module:factory``."""

import importlib
import inspect
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from torch import nn

from netadapt.errors import UserError
from netadapt.models.fastdepth import FastDepth
from netadapt.models.spec import ModelSpec

BUILDERS: dict[str, Callable[..., nn.Module]] = {
    "fastdepth": FastDepth,
    "fastdepth-pruned": partial(FastDepth, widths="pruned"),
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
    builder = _imported(name) if ":" in name else BUILDERS.get(name)
    if builder is None:
        raise UserError(
            f"unknown model {name!r}; known: {', '.join(BUILDERS)}, or package.module:factory"
        )
    try:
        inspect.signature(builder).bind(**options)
    except TypeError as error:
        raise UserError(f"model {name} cannot be built with options {options}: {error}") from error
    try:
        model = builder(**options)
    except UserError:
        raise
    except (Exception, SystemExit) as error:  # the user's own factory may raise anything
        raise UserError(
            f"model {name} cannot be built: {type(error).__name__}: {_first_line(error)}"
        ) from error
    if not isinstance(model, nn.Module):
        raise UserError(
            f"{name} returned {type(model).__name__}; a factory returns a torch.nn.Module"
        )
    if not isinstance(getattr(model, "spec", None), ModelSpec):
        if hasattr(model, "spec"):
            raise UserError(f"the network of {name} has an attribute 'spec' of its own; rename it")
        model.spec = ModelSpec(name, options)  # type: ignore[assignment]
    return model


def _imported(name: str) -> Callable[..., Any]:
    module_name, _, attribute = name.partition(":")
    if not module_name or not attribute or not attribute.isidentifier():
        raise UserError(f"model {name!r} is not of the form package.module:factory")
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    importlib.invalidate_caches()
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        missing = error.name or module_name
        owner = (
            "" if f"{module_name}.".startswith(f"{missing}.") else f" (imported by {module_name})"
        )
        raise UserError(
            f"model {name}: there is no module {missing!r}{owner}; run where it can be imported"
        ) from error
    except (Exception, SystemExit) as error:  # the user's own module may raise anything
        raise UserError(
            f"model {name}: importing {module_name} failed: {type(error).__name__}: "
            f"{_first_line(error)}"
        ) from error
    factory = getattr(module, attribute, None)
    if factory is None:
        raise UserError(f"model {name}: module {module_name!r} has no {attribute!r}")
    if not callable(factory):
        raise UserError(f"model {name}: {attribute!r} of {module_name!r} cannot be called")
    called: Callable[..., Any] = factory
    return called


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
