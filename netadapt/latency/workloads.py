"""Workloads: operations as a runtime executes them, fusion included."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from netadapt.latency.fusion import Fusion
from netadapt.latency.reordering import commuted, moved_before, readers_of, unused_places

if TYPE_CHECKING:  # so that looking at a table does not load torch
    from netadapt.pruning import Operation, OperationMap

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Workload:
    """One operation as the runtime executes it; the key of a latency table.

    Attributes:
        kind: ``conv2d``, ``add``, ``upsample_nearest``, ``concat``, ``activation`` ...
        inputs: shapes, ``(N, C, H, W)`` for images; a fused addition's other side comes second.
        out_channels: channels of the output.
        kernel: ``(kH, kW)``, empty where there is none; likewise the next three.
        stride: of a convolution or pooling; of an upsampling, its factors.
        padding: zeros added on each side.
        dilation: of a convolution.
        groups: of a convolution, else 1.
        activation: fused in, or the operation itself; empty if none.
        dtype: ``float32``, ...
    """

    kind: str
    inputs: tuple[Shape, ...]
    out_channels: int
    kernel: Shape = ()
    stride: Shape = ()
    padding: Shape = ()
    dilation: Shape = ()
    groups: int = 1
    activation: str = ""
    dtype: str = "float32"

    def __str__(self) -> str:
        first = self.inputs[0]
        channels = f"{first[1]}->{self.out_channels}" if len(first) > 1 else str(first)
        parts = [self.kind]
        if self.kernel:
            parts.append("x".join(map(str, self.kernel)))
        if self.groups > 1:
            parts.append("depthwise" if self.groups == first[1] else f"groups {self.groups}")
        parts.append(channels)
        if any(stride > 1 for stride in self.stride):
            parts.append("stride " + "x".join(map(str, self.stride)))
        if self.activation:
            parts.append(f"+ {self.activation}")
        if len(self.inputs) > 1 and self.kind == "conv2d":
            parts.append("+ add")
        return " ".join(parts) + " at " + "x".join(map(str, first[2:]))


@dataclass(frozen=True)
class Family:
    """Workloads that differ only in channels; latency is interpolated within a family."""

    kind: str
    spatial: tuple[Shape, ...]
    kernel: Shape
    stride: Shape
    padding: Shape
    dilation: Shape
    grouping: str
    activation: str
    dtype: str


def family(workload: Workload) -> Family:
    """Return what ``workload`` shares with others that differ only in channels."""
    return Family(
        workload.kind,
        tuple((shape[0], *shape[2:]) for shape in workload.inputs),
        workload.kernel,
        workload.stride,
        workload.padding,
        workload.dilation,
        _grouping(workload),
        workload.activation,
        workload.dtype,
    )


def block_kind(workload: Workload) -> str:
    """Return the kind within which a runtime computes equally many channels at a time.

    ``conv2d depthwise``, ``conv2d pointwise``, ``conv2d dense`` and ``conv2d grouped`` for
    convolutions, the workload's own kind for all else.
    """
    if not workload.kind.startswith("conv"):
        return workload.kind
    if workload.groups > 1:
        return f"{workload.kind} {'depthwise' if _grouping(workload) == 'depthwise' else 'grouped'}"
    pointwise = all(size == 1 for size in workload.kernel)
    return f"{workload.kind} {'pointwise' if pointwise else 'dense'}"


def coordinates(workload: Workload) -> tuple[int, ...]:
    """Return the channels at which ``workload`` lies in its family: (in, out), or one number."""
    if _has_two_channels(workload):
        return workload.inputs[0][1], workload.out_channels
    return (workload.out_channels,)


def _grouping(workload: Workload) -> str:
    if workload.groups == 1:
        return ""
    read, made = (n // workload.groups for n in (workload.inputs[0][1], workload.out_channels))
    if read == made == 1:
        return "depthwise"
    if 1 in (read, made):  # whole groups go; the others keep their number
        return f"{read} to {made} each"
    return str(workload.groups)


def _has_two_channels(workload: Workload) -> bool:
    mixes = workload.kind in ("conv2d", "conv_transpose2d", "linear")
    return mixes and (workload.groups == 1 or _grouping(workload).isdigit())


@dataclass(frozen=True)
class FusedOperation:
    """The operations that one workload stands for, by their place in the trace.

    Attributes:
        main: the convolution, or the only operation.
        members: all of them, in order of execution.
        residual: the operation a fused addition also reads, if any.
        activation: the fused activation, empty if none.
    """

    main: int
    members: tuple[int, ...]
    residual: int | None = None
    activation: str = ""


def fuse(operations: Sequence[Operation], fusion: Fusion) -> tuple[FusedOperation, ...]:
    """Group ``operations`` into workloads as a runtime with ``fusion`` would."""
    taken = unused_places(operations) if fusion.outputs_only else set()
    readers = readers_of(operations, set(taken))
    fused = []
    for place in range(len(operations)):
        if place in taken:
            continue
        unit = _fused_unit(place, operations, readers, fusion)
        taken.update(unit.members)
        fused.append(unit)
    return tuple(fused)


def _fused_unit(
    place: int,
    operations: Sequence[Operation],
    readers: Mapping[int, Sequence[int]],
    fusion: Fusion,
) -> FusedOperation:
    operation = operations[place]
    if operation.kind in fusion.chained - fusion.activated and len(operation.sources) < 2:
        return FusedOperation(place, _chain(place, operations, readers, fusion))
    takes_in = operation.kind in fusion.into
    if not takes_in and operation.kind not in fusion.activated:
        activation = operation.detail.get("activation", "")
        return FusedOperation(place, (place,), None, activation)
    members, residual, activation = [place], None, ""
    while len(readers.get(members[-1], ())) == 1:
        following = readers[members[-1]][0]
        candidate = operations[following]
        if candidate.kind == "batch_norm" and takes_in and fusion.batch_norm and residual is None:
            members.append(following)
        elif (
            candidate.kind == "add"
            and takes_in
            and fusion.add
            and residual is None
            and len(candidate.sources) == 2
            and max(candidate.sources) == members[-1]
            and len(set(candidate.inputs)) == 1
        ):
            residual = min(candidate.sources)
            members.append(following)
        else:
            if (
                candidate.kind == "activation"
                and candidate.detail["activation"] in fusion.activations
            ):
                activation = candidate.detail["activation"]
                members.append(following)
            break
    return FusedOperation(place, tuple(members), residual, activation)


def _chain(
    place: int,
    operations: Sequence[Operation],
    readers: Mapping[int, Sequence[int]],
    fusion: Fusion,
) -> tuple[int, ...]:
    """The operations that are merged with the one at ``place``, which reads constants beside."""
    members = [place]
    while len(following := readers.get(members[-1], ())) == 1:
        candidate = operations[following[0]]
        if candidate.kind not in fusion.chained or len(candidate.sources) > 1:
            break
        members.append(following[0])
    return tuple(members)


def workload(
    unit: FusedOperation, operations: Sequence[Operation], dtype: str = "float32"
) -> Workload:
    """Return the workload of ``unit`` in a network that executes ``operations``."""
    main = operations[unit.main]
    inputs = [
        _channels_second(shape, dim)
        for shape, dim in zip(main.inputs, _channels_read(main), strict=True)
    ]
    if unit.residual is not None:
        inputs.append(main.output)
    detail = main.detail
    kind = main.kind
    stride = tuple(detail.get("stride", ()))
    if kind == "upsample":
        kind = f"upsample_{detail['mode']}"
        stride = tuple(int(o // i) for o, i in zip(main.output[2:], inputs[0][2:], strict=True))
    elif kind in ("pool", "pad") and "mode" in detail:
        kind = f"{kind}_{detail['mode']}"
    elif detail.get("transposed"):
        kind = "conv_transpose2d"
    return Workload(
        kind=kind,
        inputs=tuple(inputs),
        out_channels=_out_channels(main),
        kernel=tuple(detail.get("kernel", ())),
        stride=stride,
        padding=tuple(detail.get("padding", ())),
        dilation=tuple(detail.get("dilation", ())),
        groups=main.groups,
        activation=unit.activation,
        dtype=dtype,
    )


def _out_channels(operation: Operation) -> int:
    """The channels of the output; of the input, where the output has none that can be pruned."""
    if operation.detail.get("along_input"):
        return operation.inputs[0][_channels_read(operation)[0]]
    return operation.output[_channel_dim(operation)] if operation.output else 1


def _channel_dim(operation: Operation) -> int:
    if operation.kind == "linear":
        return -1
    dim: int = operation.detail.get("channels", min(1, len(operation.output) - 1))
    return dim


def _channels_read(operation: Operation) -> list[int]:
    """For each input, the dimension of its channels."""
    usual = operation.detail.get("channels", 1)
    known = operation.detail.get("read", [None] * len(operation.inputs))
    alike = [usual if len(shape) == len(operation.output) else 1 for shape in operation.inputs]
    return [dim if told is None else told for dim, told in zip(alike, known, strict=True)]


def _channels_second(shape: Shape, dim: int) -> Shape:
    """Return ``shape`` as ``(N, C, ...)``, its channels being dimension ``dim``.

    A single number has the shape ``(1,)``.
    """
    if dim == 0 or not shape:
        return (1, *shape)
    if dim == 1 or len(shape) < 2:
        return shape
    return (shape[0], shape[dim], *shape[1:dim], *shape[dim + 1 :])


@dataclass(frozen=True)
class WorkloadMap:
    """The workloads of a network and, for each, where its channels stand in the sizes row.

    Attributes:
        operations: the linear map from widths to sizes.
        units: the fused operations, one a workload.
        columns: for each unit, the columns of the sizes row that are its coordinates.
        dtype: of the activations.
        moved: pairs of a nearest upsampling and the convolution that is computed before it.
    """

    operations: OperationMap
    units: tuple[FusedOperation, ...]
    columns: tuple[tuple[int, ...], ...]
    dtype: str
    moved: tuple[tuple[int, int], ...] = ()

    def at(self, widths: Sequence[int] | NDArray[np.int64]) -> tuple[Workload, ...]:
        """The workloads of the network at ``(G,)`` widths."""
        operations = commuted(self.operations.at(widths), self.moved)
        return tuple(workload(unit, operations, self.dtype) for unit in self.units)


def workload_map(operations: OperationMap, fusion: Fusion, dtype: str = "float32") -> WorkloadMap:
    """Fuse a network's operations and find the columns of each workload's channels."""
    units = fuse(operations.operations, fusion)
    moved = moved_before(operations.operations) if fusion.upsampling_last else ()
    executed = commuted(operations.operations, moved)
    channels_from = dict(moved)
    offsets = operations.offsets()
    columns: list[tuple[int, ...]] = []
    for unit in units:
        # a moved upsampling has the channels that the convolution computes
        place = channels_from.get(unit.main, unit.main)
        main = operations.operations[place]
        if main.detail.get("along_input"):
            output = offsets[place] + _channels_read(main)[0]
        else:
            output = offsets[place] + sum(map(len, main.inputs))
            output += _channel_dim(main) % max(1, len(main.output))
        if len(coordinates(workload(unit, executed, dtype))) == 2:
            columns.append((offsets[unit.main] + 1, output))
        else:
            columns.append((output,))
    return WorkloadMap(operations, units, tuple(columns), dtype, moved)
