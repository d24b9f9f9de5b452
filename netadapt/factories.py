"""The user's own code by name: ``package.module:factory``."""

import importlib
import inspect
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from netadapt.errors import UserError
from netadapt.extras import remedy


def factory_named(name: str, kind: str) -> Callable[..., Any]:
    """Import ``package.module:factory``, from the current folder too.

    Args:
        name: where the factory is.
        kind: what it makes, for messages: ``model`` or ``task``.

    Raises:
        UserError: it is not of that form, cannot be imported, or cannot be called.
    """
    factory = named(name, kind)
    if not callable(factory):
        module_name, _, attribute = name.partition(":")
        raise UserError(f"{kind} {name}: {attribute!r} of {module_name!r} cannot be called")
    called: Callable[..., Any] = factory
    return called


def named(name: str, kind: str) -> Any:
    """Import ``package.module:NAME``, whatever it is; arguments and errors of ``factory_named``."""
    module_name, _, attribute = name.partition(":")
    if not module_name or not attribute or not attribute.isidentifier():
        raise UserError(f"{kind} {name!r} is not of the form package.module:factory")
    folder = str(Path.cwd())
    if folder not in sys.path:
        sys.path.insert(0, folder)
    importlib.invalidate_caches()
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if line := remedy(error):
            raise UserError(f"{kind} {name}: {line}") from error
        missing = error.name or module_name
        owner = (
            "" if f"{module_name}.".startswith(f"{missing}.") else f" (imported by {module_name})"
        )
        raise UserError(
            f"{kind} {name}: there is no module {missing!r}{owner}; run where it can be imported"
        ) from error
    except (Exception, SystemExit) as error:  # the user's own module may raise anything
        raise UserError(
            f"{kind} {name}: importing {module_name} failed: {type(error).__name__}: "
            f"{_first_line(error)}"
        ) from error
    found = getattr(module, attribute, None)
    if found is None:
        raise UserError(f"{kind} {name}: module {module_name!r} has no {attribute!r}")
    return found


def made(name: str, kind: str, factory: Callable[..., Any], options: Mapping[str, Any]) -> Any:
    """Return what ``factory`` makes of ``options``.

    Raises:
        UserError: it does not take them, or fails.
    """
    try:
        inspect.signature(factory).bind(**options)
    except TypeError as error:
        raise UserError(f"{kind} {name} cannot be built with options {options}: {error}") from error
    try:
        return factory(**options)
    except UserError:
        raise
    except (Exception, SystemExit) as error:  # the user's own factory may raise anything
        raise UserError(
            f"{kind} {name} cannot be built: {type(error).__name__}: {_first_line(error)}"
        ) from error


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
