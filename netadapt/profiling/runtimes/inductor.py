"""The kernels that TorchInductor's programs ran, and the workload of each."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from netadapt.errors import UserError
from netadapt.latency.workloads import FusedOperation
from netadapt.pruning import Operation

# by kind: part of the name of its library call or generated kernel
CALLS = {
    "conv2d": ("convolution",), "linear": ("linear", "mm"), "pool": ("pool", "mean"),
    "upsample": ("upsample",),
}  # fmt: skip
KERNELS = {
    "upsample": ("_unsafe_index", "upsample"), "concat": ("cat",), "pool": ("pool", "mean"),
    "add": ("add",), "sub": ("sub",), "mul": ("mul",), "div": ("div",), "pad": ("pad",),
}  # fmt: skip
GENERATED = "cpp_fused_"
BODY = "## Call CompiledFxGraph"  # the event around all kernels of a run
BOOKKEEPING = {"aten::empty", "aten::resize_", "aten::empty_strided", "aten::as_strided"}


@dataclass(frozen=True)
class Kernel:
    """One run of a kernel.

    Attributes:
        name: of the library call or of the generated kernel.
        us: how long it took.
        shapes: of a library call's arguments.
    """

    name: str
    us: float
    shapes: tuple[tuple[int, ...], ...] = ()


def kernels_of(events: Sequence[Any]) -> list[Kernel]:
    """Return the kernels that ran directly in the body of the compiled network."""
    events = sorted(events, key=lambda event: (event.start_ns(), -event.duration_ns()))
    body = next(event for event in events if event.name().startswith(BODY))
    end = body.start_ns() + body.duration_ns()
    kernels, over = [], body.start_ns()
    for event in events:
        inside = over <= event.start_ns() < end and event is not body
        if not inside or event.name() in BOOKKEEPING:
            continue
        over = event.start_ns() + event.duration_ns()
        shapes = tuple(tuple(shape) for shape in event.shapes())
        kernels.append(Kernel(event.name(), event.duration_ns() / 1000, shapes))
    return kernels


def units_of(
    kernels: Sequence[Kernel], units: Sequence[FusedOperation], operations: Sequence[Operation]
) -> tuple[int, ...]:
    """Return, for each kernel, the place of the unit that it carries out.

    A generated kernel without a unit changes a layout; it counts with the unit after it, or with
    the last one.

    Raises:
        UserError: a unit has no kernel; kernels come in the order of the units.
    """
    places, done = [], 0
    for kernel in kernels:
        found = done < len(units) and _carries_out(kernel, operations[units[done].main])
        if not found and GENERATED not in kernel.name:
            raise UserError(
                f"cannot time this network in torch-compile: {kernel.name} is not the "
                f"{_described(units, operations, done)} expected there; "
                "use --runtime torch"
            )
        places.append(min(done, len(units) - 1))
        done += found
    if done < len(units):
        raise UserError(
            "cannot time this network in torch-compile: no kernel carries out the "
            f"{_described(units, operations, done)}; use --runtime torch"
        )
    return tuple(places)


def _carries_out(kernel: Kernel, operation: Operation) -> bool:
    if GENERATED in kernel.name:
        names = KERNELS.get(operation.kind, ())
        known = operation.kind in CALLS or operation.kind in KERNELS
        return any(name in kernel.name for name in names) or not known
    if not any(name in kernel.name for name in CALLS.get(operation.kind, ())):
        return False
    if operation.kind != "conv2d":
        return True
    return _shapes_agree(kernel.shapes, operation)


def _shapes_agree(shapes: Sequence[tuple[int, ...]], operation: Operation) -> bool:
    """Whether a library call has the image and the weights of this convolution."""
    if operation.detail["transposed"]:
        return operation.inputs[0] in shapes
    weight = (
        operation.output[1],
        operation.inputs[0][1] // operation.groups,
        *operation.detail["kernel"],
    )
    return operation.inputs[0] in shapes and weight in shapes


def _described(units: Sequence[FusedOperation], operations: Sequence[Operation], place: int) -> str:
    if place >= len(units):
        return "end"
    operation = operations[units[place].main]
    return f"{operation.kind} {operation.module}".strip()
