"""Tasks by name: our own, and the user's as ``package.module:factory``."""

from collections.abc import Callable

from netadapt.data.spec import OnBadSample
from netadapt.errors import UserError
from netadapt.factories import factory_named, made
from netadapt.training.depth import open_depth_task
from netadapt.training.digits import open_digits
from netadapt.training.protocols import DEFAULT, protocol_named
from netadapt.training.self_supervised import open_self_supervised
from netadapt.training.task import Task

Factory = Callable[[str | None, tuple[int, int] | None], Task]

DEPTH = "depth"


TASKS: dict[str, Factory] = {
    "self-supervised": open_self_supervised,
    "digits": open_digits,
}


def open_task(
    name: str,
    data: str | None,
    input_size: tuple[int, int] | None,
    *,
    loss: str | None = None,
    on_bad_sample: OnBadSample = "fail",
    protocol: str | None = None,
) -> Task:
    """Open a problem by name.

    Args:
        name: ``depth``, ``self-supervised``, ``digits``, or ``package.module:factory``, which is
            imported (from the current folder too) and called with the keyword arguments ``data``
            and ``input_size``.
        data: the ``--data`` word; which words there are is the task's own affair.
        input_size: ``(H, W)``, or ``None`` where neither user nor checkpoint says one.
        loss: of ``depth``: a name of its losses; ``None`` is l1.
        on_bad_sample: of ``depth``: ``fail`` at a frame that cannot be used, or ``skip`` it.
        protocol: of ``depth``: how it scores; ``None`` is the FastDepth code's way.

    Raises:
        UserError: an unknown task, one that cannot be imported or fails, or lacks what it needs.
    """
    if protocol is not None:
        protocol_named(protocol)
    if name == DEPTH:
        if data is None:
            raise UserError("task depth needs --data: synthetic[:N], pairs:DIR, nyu:DIR, ...")
        if input_size is None:
            raise UserError("the network remembers no input size; give one with --input-size HxW")
        return open_depth_task(
            data,
            input_size,
            loss=loss or "l1",
            protocol=protocol or DEFAULT,
            on_bad_sample=on_bad_sample,
        )
    if loss is not None:
        raise UserError(f"--loss {loss} is of task depth; task {name} has its own")
    if protocol is not None:
        raise UserError(f"--protocol {protocol} is of task depth; task {name} has its own scores")
    if on_bad_sample != "fail":
        raise UserError(f"--on-bad-sample is of task depth; task {name} has its own way")
    if ":" not in name:
        if name not in TASKS:
            known = ", ".join([DEPTH, *TASKS])
            raise UserError(f"unknown task {name!r}; known: {known}, or package.module:factory")
        return TASKS[name](data, input_size)
    task = made(name, "task", factory_named(name, "task"), data=data, input_size=input_size)
    if not isinstance(task, Task):
        raise UserError(f"{name} returned {type(task).__name__}; a factory returns a netadapt Task")
    return task
