"""Tasks by name: those that come with netadapt, and the user's as ``package.module:factory``.

The registry holds names alone: nothing of a task is imported before it is opened.
"""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import JsonValue

from netadapt.errors import UserError
from netadapt.factories import factory_named, made
from netadapt.training.task import Task

TASKS: dict[str, str] = {
    "depth": "netadapt.depth.task:open_depth",
    "self-supervised": "netadapt.depth.self_supervised:open_self_supervised",
    "digits": "netadapt.training.digits:open_digits",
}
GIVEN = ("data", "input_size")  # parameters of every factory; all others are options


def open_task(
    name: str,
    data: str | None,
    input_size: tuple[int, int] | None,
    options: Mapping[str, JsonValue] | None = None,
) -> Task:
    """Open a task by its name.

    Args:
        name: ``depth``, ``self-supervised``, ``digits``, or ``package.module:factory``, which is
            imported (from the current folder too). It is called with the keyword arguments
            ``data`` and ``input_size``, and with ``options``.
        data: the ``--data`` word; each task defines its own words.
        input_size: ``(H, W)``, or ``None`` if neither the user nor the checkpoint names one.
        options: options of the task, by name: the other parameters of its factory.

    Raises:
        UserError: an unknown task or option, or a task that cannot be imported, fails, or lacks
            something that it needs.
    """
    factory, given = _factory(name), dict(options or {})
    for option in given:
        if not _takes(factory, option):
            known = ", ".join(o for o in inspect.signature(factory).parameters if o not in GIVEN)
            raise UserError(
                f"task {name} has no option {option!r}; "
                + (f"its options: {known}" if known else "it has none")
            )
    task = made(name, "task", factory, {"data": data, "input_size": input_size, **given})
    if not isinstance(task, Task):
        raise UserError(f"{name} returned {type(task).__name__}; a factory returns a netadapt Task")
    return task


def takes_option(name: str, option: str) -> bool:
    """Whether the task ``name`` has an ``option``; errors are those of ``open_task``."""
    return _takes(_factory(name), option)


def _factory(name: str) -> Callable[..., Any]:
    if ":" not in name and name not in TASKS:
        raise UserError(
            f"unknown task {name!r}; known: {', '.join(TASKS)}, or package.module:factory"
        )
    return factory_named(TASKS.get(name, name), "task")


def _takes(factory: Callable[..., Any], option: str) -> bool:
    parameters = inspect.signature(factory).parameters
    if any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        return True
    return option in parameters and option not in GIVEN
