"""Tasks by name: those that come with netadapt, and the user's as ``package.module:factory``.

The registry holds names alone: nothing of a task is imported before it is opened.
"""

import inspect
from collections.abc import Mapping

from pydantic import JsonValue

from netadapt.errors import UserError
from netadapt.factories import factory_named, made
from netadapt.training.task import Task

TASKS: dict[str, str] = {
    "depth": "netadapt.depth.task:open_depth",
    "self-supervised": "netadapt.depth.self_supervised:open_self_supervised",
    "digits": "netadapt.training.digits:open_digits",
}
GIVEN = ("data", "input_size")  # what every factory takes; the rest are options of its own


def open_task(
    name: str,
    data: str | None,
    input_size: tuple[int, int] | None,
    options: Mapping[str, JsonValue] | None = None,
) -> Task:
    """Open a problem by name.

    Args:
        name: ``depth``, ``self-supervised``, ``digits``, or ``package.module:factory``, which is
            imported (from the current folder too). It is called with the keyword arguments
            ``data``, ``input_size`` and ``options``.
        data: the ``--data`` word; which words there are is the task's own affair.
        input_size: ``(H, W)``, or ``None`` where neither user nor checkpoint says one.
        options: of the task, by name; which ones it has, its factory's signature says.

    Raises:
        UserError: an unknown task or option, a task that cannot be imported or fails, or lacks
            what it needs.
    """
    if ":" not in name and name not in TASKS:
        raise UserError(
            f"unknown task {name!r}; known: {', '.join(TASKS)}, or package.module:factory"
        )
    factory = factory_named(TASKS.get(name, name), "task")
    given = dict(options or {})
    parameters = inspect.signature(factory).parameters
    if not any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values()):
        for option in given:
            if option not in parameters or option in GIVEN:
                known = ", ".join(other for other in parameters if other not in GIVEN)
                raise UserError(
                    f"task {name} has no option {option!r}; "
                    + (f"its options: {known}" if known else "it has none")
                )
    task = made(name, "task", factory, {"data": data, "input_size": input_size, **given})
    if not isinstance(task, Task):
        raise UserError(f"{name} returned {type(task).__name__}; a factory returns a netadapt Task")
    return task
