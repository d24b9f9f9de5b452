"""The sizes of all operations as linear functions of the widths."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from netadapt.pruning.calls import Call
from netadapt.pruning.flow import Flow
from netadapt.pruning.groups import Coupling
from netadapt.pruning.labels import varying
from netadapt.pruning.operations import Operation


@dataclass(frozen=True, eq=False)
class OperationMap:
    """Every size of every operation as a linear function of the widths.

    Attributes:
        operations: as executed at the full widths.
        groups: the names of the groups and then of the blocks, the order of the columns.
        constant: ``(D,)`` with D the sizes of all operations in a row.
        coefficient: ``(D, G)``; ``sizes = constant + coefficient @ widths``.
        blocks: where those that may be dropped are called; their widths are 1 or 0.
    """

    operations: tuple[Operation, ...]
    groups: tuple[str, ...]
    constant: NDArray[np.float64]
    coefficient: NDArray[np.float64]
    blocks: Mapping[str, Call] = field(default_factory=dict)
    _without: dict[tuple[str, ...], "OperationMap"] = field(default_factory=dict, repr=False)

    def with_blocks(self, blocks: Mapping[str, Call]) -> "OperationMap":
        """The same with a column for each of ``blocks``, and for no others."""
        channels = len(self.groups) - len(self.blocks)
        columns = np.zeros((len(self.constant), len(blocks)))
        return OperationMap(
            self.operations,
            (*self.groups[:channels], *blocks),
            self.constant,
            np.concatenate([self.coefficient[:, :channels], columns], axis=1),
            blocks,
        )

    def parts(self, rows: NDArray[Any]) -> list[tuple["OperationMap", NDArray[np.intp]]]:
        """Split ``(B, G)`` widths by the blocks that are dropped.

        Returns:
            maps of what is left, none of which knows blocks to drop, each with its rows' numbers.
        """
        if not self.blocks:
            return [(self, np.arange(len(rows)))]
        columns = [self.groups.index(name) for name in self.blocks]
        patterns, place = np.unique(np.asarray(rows)[:, columns] > 0, axis=0, return_inverse=True)
        found = []
        for number, stays in enumerate(patterns):
            names = tuple(n for n, left in zip(self.blocks, stays, strict=True) if not left)
            found.append((self.without(names), np.flatnonzero(place.ravel() == number)))
        return found

    def without(self, dropped: tuple[str, ...]) -> "OperationMap":
        """The same for the network without the blocks ``dropped``; the columns stay."""
        if dropped not in self._without:
            calls = [self.blocks[name] for name in dropped]
            gone = {place for call in calls for place in range(call.first, call.last)}
            handed_on = {call.result: call.source for call in calls}
            lengths = [len(operation.sizes) for operation in self.operations]
            places = [place for place in range(len(lengths)) if place not in gone]
            renumbered = {place: number for number, place in enumerate(places)} | {-1: -1}

            def source(place: int) -> int:
                return source(handed_on[place]) if place in gone else renumbered[place]

            operations = [
                replace(
                    self.operations[place],
                    sources=tuple(map(source, self.operations[place].sources)),
                )
                for place in places
            ]
            rows = np.repeat([place not in gone for place in range(len(lengths))], lengths)
            self._without[dropped] = OperationMap(
                tuple(operations), self.groups, self.constant[rows], self.coefficient[rows]
            )
        return self._without[dropped]

    def sizes(self, widths: NDArray[Any]) -> NDArray[np.int64]:
        """Map ``(B, G)`` widths to the ``(B, D)`` sizes of all operations."""
        exact = self.constant + np.asarray(widths, dtype=np.float64) @ self.coefficient.T
        return np.rint(exact).astype(np.int64)

    def offsets(self) -> list[int]:
        """The row of ``constant`` at which each operation's sizes begin."""
        lengths = [len(operation.sizes) for operation in self.operations]
        return [0, *np.cumsum(lengths).tolist()][:-1]

    def at(self, widths: Sequence[int] | NDArray[Any]) -> tuple[Operation, ...]:
        """The operations of the network at ``(G,)`` widths."""
        if self.blocks:
            return self.parts(np.asarray(widths)[None])[0][0].at(widths)
        row = self.sizes(np.asarray(widths)[None])[0].tolist()
        resized = []
        for operation, start in zip(self.operations, self.offsets(), strict=True):
            sizes = iter(row[start : start + len(operation.sizes)])
            inputs = tuple(tuple(next(sizes) for _ in shape) for shape in operation.inputs)
            output = tuple(next(sizes) for _ in operation.output)
            resized.append(replace(operation, inputs=inputs, output=output, groups=next(sizes)))
        return tuple(resized)

    def only(self, kinds: Container[str]) -> "OperationMap":
        """The same for the operations of ``kinds`` alone; their ``sources`` are the full map's."""
        places = zip(self.operations, self.offsets(), strict=True)
        chosen = [(operation, start) for operation, start in places if operation.kind in kinds]
        rows = [row for op, start in chosen for row in range(start, start + len(op.sizes))]
        return OperationMap(
            tuple(operation for operation, _ in chosen),
            self.groups,
            self.constant[rows],
            self.coefficient[rows],
        )

    def macs(self, widths: Sequence[int] | NDArray[Any]) -> int:
        """Multiply-accumulates of the network at ``(G,)`` widths."""
        return sum(operation.macs for operation in self.at(widths))


class Sizes:
    """How many channels of each coupling lie along every side of every operation."""

    def __init__(self, flow: Flow, couplings: Sequence[Coupling]) -> None:
        self._flow = flow
        self._classes = flow.book.classes()
        self._owner = np.full(self._classes.max() + 1, -1)
        for place, coupling in enumerate(couplings):
            self._owner[coupling.classes] = place
        self._couplings = couplings
        self.unclear: dict[str, str] = {}
        self._counts = self._counted()

    def map(self, names: Sequence[str]) -> OperationMap:
        """Return the linear map from the widths of the groups ``names``."""
        full = [size for operation in self._flow.operations for size in operation.sizes]
        base = np.array(full, dtype=np.float64)
        columns = {coupling.group.name: place for place, coupling in enumerate(self._couplings)}
        chosen = [columns[name] for name in names]
        widths = np.array([self._couplings[place].group.width for place in chosen], dtype=float)
        coefficient = np.zeros((len(base), len(names)))
        where = {place: column for column, place in enumerate(chosen)}
        for row, place, count in self._counts:
            if place in where:
                coefficient[row, where[place]] = count / widths[where[place]]
        operations = _with_channels(self._flow.operations, coefficient)
        return OperationMap(operations, tuple(names), base - coefficient @ widths, coefficient)

    def _counted(self) -> list[tuple[int, int, int]]:
        """Return (row, coupling, channels of it along this side)."""
        counts: list[tuple[int, int, int]] = []
        row = 0
        for operation, sizing in zip(self._flow.operations, self._flow.sizings, strict=True):
            for shape, labels in (
                *zip(operation.inputs, sizing.inputs, strict=True),
                (operation.output, sizing.output),
                ((operation.groups,), sizing.groups),
            ):
                for dim, size in enumerate(shape):
                    for place, count in self._along(labels, dim, size, operation):
                        counts.append((row, place, count))
                    row += 1
        return counts

    def _along(
        self, labels: Tensor | None, dim: int, size: int, operation: Operation
    ) -> list[tuple[int, int]]:
        if labels is None or labels.shape[dim] != size or dim not in varying(labels):
            return []
        rows = self._classes[labels.movedim(dim, 0).reshape(size, -1).numpy()]
        if (rows == rows[0]).all():
            return []
        if (rows != rows[:, :1]).any():
            self._lock(rows, operation)
            return []
        numbers, counts = np.unique(rows[:, 0], return_counts=True)
        found = []
        for place in np.unique(self._owner[numbers]).tolist():
            each = counts[self._owner[numbers] == place]
            if place < 0:
                continue
            if len(each) != len(self._couplings[place].classes) or len(set(each.tolist())) > 1:
                self._lock(numbers[self._owner[numbers] == place], operation)
            found.append((place, int(each.sum())))
        return found

    def _lock(self, numbers: NDArray[np.int64], operation: Operation) -> None:
        for place in np.unique(self._owner[numbers]).tolist():
            if place >= 0:
                self.unclear[self._couplings[place].group.name] = (
                    f"its channels cannot be followed through {operation.kind} of "
                    f"{operation.module or 'the network'}"
                )


def _with_channels(
    operations: Sequence[Operation], coefficient: NDArray[np.float64]
) -> tuple[Operation, ...]:
    """Note in each operation which side of its tensors follows the widths, where that is unusual.

    For images that is the second side. For attention it may be the batch of a matrix product, which
    holds images and heads.
    """
    found = []
    row = 0
    for operation in operations:
        follows = []
        for shape in (*operation.inputs, operation.output):
            sides = coefficient[row : row + len(shape)].any(axis=1)
            row += len(shape)
            follows.append(int(np.argmax(sides)) if sides.any() else None)
        row += 1  # the groups of a convolution
        if operation.kind not in ("conv2d", "linear"):
            noted = _unusual(operation, follows[:-1], follows[-1])
            operation = replace(operation, detail={**operation.detail, **noted})
        found.append(operation)
    return tuple(found)


def _unusual(
    operation: Operation, read: Sequence[int | None], written: int | None
) -> dict[str, Any]:
    """Return which sides follow the widths, if other ones than for images."""
    noted: dict[str, Any] = {}
    usual = operation.detail.get("channels", min(1, len(operation.output) - 1))
    if written is not None and written != usual:
        noted["channels"] = usual = written
    alike = [usual if len(shape) == len(operation.output) else 1 for shape in operation.inputs]
    if any(side not in (None, other) for side, other in zip(read, alike, strict=True)):
        noted["read"] = tuple(read)
    if written is None and read and read[0] is not None:
        noted |= {"read": tuple(read), "along_input": True}
    return noted
