"""The user's own code by name, ``package.module:factory``, and whether a file may ask for it.

A checkpoint, a table or a run can ask for names of the registries only. A factory of the user's own
is built from a file only if the user has named the same factory in this process (``--model``,
``--task``, ``load_model``), or trusts it: ``--trust``, the environment variable ``NETADAPT_TRUST``,
or ``netadapt.trust``.
"""

import importlib
import inspect
import os
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from netadapt.errors import UserError
from netadapt.extras import remedy

TRUST = "NETADAPT_TRUST"  # modules and factories, comma separated; worker processes inherit it
_WORD = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*(:[^\W\d]\w*)?")
_DOWNLOADS = ("imagenet", "pretrained")  # options that fetch weights from the network


def trust(name: str) -> None:
    """Let files ask for code of the user's own, in this process and those that it starts.

    Args:
        name: ``package.module`` for every factory in that module, or ``package.module:factory``
            for one.

    Raises:
        UserError: ``name`` is of neither form.
    """
    if not _WORD.fullmatch(name):
        raise UserError(f"cannot trust {name!r}: give package.module or package.module:factory")
    if name not in trusted():
        os.environ[TRUST] = ",".join([*trusted(), name])


def trust_named(*names: object) -> None:
    """Trust those of ``names``, which the user has given in this call, that are factories."""
    for name in names:
        if isinstance(name, str) and ":" in name and _WORD.fullmatch(name):
            trust(name)


def trusted() -> list[str]:
    """Return the modules and factories that files may ask for."""
    return [word.strip() for word in os.environ.get(TRUST, "").split(",") if word.strip()]


_AT_START = tuple(trusted())


def trust_words() -> str:
    """Return the ``--trust`` options that a command in another process needs to do as this one.

    What ``NETADAPT_TRUST`` held when netadapt was started is not repeated.
    """
    return "".join(f" --trust {name}" for name in trusted() if name not in _AT_START)


def require_trusted(name: str, kind: str, where: object) -> None:
    """Raise a ``UserError`` if a file asks for code that the user has neither named nor trusted.

    Args:
        name: what the file asks for; names without a colon are of a registry.
        kind: what it makes, for the message: ``model`` or ``task``.
        where: the file, for the message.
    """
    module, colon, _ = name.partition(":")
    words = trusted()
    if not colon or name in words or module in words:
        return
    if not _WORD.fullmatch(name) or module.partition(".")[0] in sys.stdlib_module_names:
        raise UserError(f"{where} is damaged: {name[:200]!r} is no {kind}")
    raise UserError(
        f"{where} asks for the {kind} {name}, which is not a part of netadapt and was not run; if "
        f"you trust that code, add --trust {module} (in Python: netadapt.trust({module!r}))"
    )


def from_file(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the builder's options that a file may ask for: none that download weights."""
    return {name: value for name, value in options.items() if name not in _DOWNLOADS}


def factory_named(name: str, kind: str) -> Callable[..., Any]:
    """Import ``package.module:factory``, from the current folder too; from here on it is trusted.

    Call it with a name from a file only after ``require_trusted``.

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
    if not _is_ours(name):
        trust(name)
    called: Callable[..., Any] = factory
    return called


def named(name: str, kind: str) -> Any:
    """Import ``package.module:NAME``, whatever it is; arguments and errors of ``factory_named``."""
    module_name, _, attribute = name.partition(":")
    if not module_name or not attribute or not attribute.isidentifier():
        raise UserError(f"{kind} {name!r} is not of the form package.module:factory")
    if not _is_ours(name):
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


def _is_ours(name: str) -> bool:
    return name.startswith("netadapt.")


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
