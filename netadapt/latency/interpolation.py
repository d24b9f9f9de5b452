"""Latency between measured channels: steps kept, linear between them, never beyond the hull."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from netadapt.latency.workloads import Family, Workload, block_kind, coordinates, family

Point = tuple[int, ...]
BLOCKS = (1, 4, 8, 16, 32, 64)
FOLDS = 7


class Grid:
    """Multilinear interpolation over the channels of one family of workloads.

    With a ``block`` of b, a channel count costs what the next multiple of b costs (counts below
    b stand for themselves), so that the steps of blocked layouts stay steps. The axes are all
    channel counts measured. A node that was not measured itself is filled from its measured
    neighbours (Delaunay); where there are none around it, it is NaN. If all points lie on one
    line (a layer that reads the channels it makes), only what lies on it is known.

    Args:
        points: ``(channels, ...)`` measured, each of one or two numbers.
        values: what was measured there.
        block: channels that the target computes at a time.
    """

    def __init__(self, points: Sequence[Point], values: Sequence[float], block: int = 1) -> None:
        raw = np.asarray(points, dtype=np.int64)
        self._line = _line_through(raw)
        if self._line is not None:
            raw = raw[:, :1]
        blocked = _blocked(raw, block)
        self.axes = [np.unique(column) for column in blocked.T]
        places = tuple(
            np.searchsorted(axis, column) for axis, column in zip(self.axes, blocked.T, strict=True)
        )
        total = np.zeros([len(axis) for axis in self.axes])
        count = np.zeros_like(total)
        np.add.at(total, places, np.asarray(values, dtype=np.float64))
        np.add.at(count, places, 1)
        with np.errstate(invalid="ignore"):
            self.nodes: NDArray[np.float64] = total / count
        if np.isnan(self.nodes).any():
            self._fill()
        self._lookups = [
            _Lookup(axis, int(column.min()), int(column.max()), block)
            for axis, column in zip(self.axes, raw.T, strict=True)
        ]
        self._whole = not np.isnan(self.nodes).any()
        # an axis of one node gets a second one, so that every cell has two ends
        pads = [(0, 1 if len(axis) == 1 else 0) for axis in self.axes]
        self._padded = np.pad(self.nodes, pads, mode="edge")
        self._flat = self._padded.ravel()

    def __call__(self, coordinates: NDArray[np.int64]) -> NDArray[np.float64]:
        """Interpolate at ``(K, B)`` channel counts; NaN outside what was measured."""
        if self._line is not None:
            (x, y), (dx, dy) = self._line
            on_line = (coordinates[1] - y) * dx == (coordinates[0] - x) * dy
            return np.where(on_line, self._between(coordinates[:1]), np.nan)
        return self._between(coordinates)

    def _between(self, coordinates: NDArray[np.int64]) -> NDArray[np.float64]:
        strides = [1] if len(self.axes) == 1 else [self._padded.shape[1], 1]
        base: NDArray[np.int64] = np.zeros(coordinates.shape[1], dtype=np.int64)
        fractions = []
        for lookup, column, stride in zip(self._lookups, coordinates, strides, strict=True):
            slot = np.clip(column, 0, lookup.last)
            base += lookup.place[slot] * stride
            fractions.append(lookup.fraction[slot])
        return self._cell(base, strides, fractions)

    def _cell(
        self, base: NDArray[np.int64], strides: list[int], fractions: list[NDArray[np.float64]]
    ) -> NDArray[np.float64]:
        """Interpolate along the first axis between what the other axes give at its two ends."""
        if not strides:
            corner: NDArray[np.float64] = self._flat[base]
            return corner
        low = self._cell(base, strides[1:], fractions[1:])
        high = self._cell(base + strides[0], strides[1:], fractions[1:])
        if self._whole:
            high -= low
            high *= fractions[0]
            high += low
            return high
        # an unknown end does not matter where all the weight is on the other
        between = np.where(fractions[0] == 0, low, low + fractions[0] * (high - low))
        return np.where(fractions[0] == 1, high, between)

    def _fill(self) -> None:
        # imported here: SciPy takes longer to import than all else that a table needs
        from scipy.interpolate import LinearNDInterpolator
        from scipy.spatial import QhullError

        holes = np.argwhere(np.isnan(self.nodes))
        known = np.argwhere(~np.isnan(self.nodes))
        values = self.nodes[tuple(known.T)]
        try:
            fill = LinearNDInterpolator(self._channels(known), values, rescale=True)
        except (QhullError, ValueError):  # all on one line: nothing lies between them
            return
        self.nodes[tuple(holes.T)] = fill(self._channels(holes))

    def _channels(self, places: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.stack(
            [axis[column] for axis, column in zip(self.axes, places.T, strict=True)], axis=1
        )


class _Lookup:
    """For every channel count of one axis: the cell it lies in, and where in the cell."""

    def __init__(self, axis: NDArray[np.int64], lowest: int, highest: int, block: int) -> None:
        self.last = highest + 1  # the slot of all that lies beyond
        channels = np.arange(self.last + 1)
        position = np.interp(_blocked(channels, block), axis, np.arange(len(axis)))
        self.place = np.minimum(position.astype(np.int64), max(len(axis) - 2, 0))
        self.fraction = position - self.place
        self.fraction[:lowest] = np.nan
        self.fraction[self.last] = np.nan


class Surfaces:
    """The interpolation of every family of workloads in a table.

    Args:
        latencies: microseconds of each measured workload.
        blocks: the block of each kind of workload, see ``Grid`` and ``NetworkCalibration``.
    """

    def __init__(
        self, latencies: Mapping[Workload, float], blocks: Mapping[str, int] | None = None
    ) -> None:
        self._blocks = blocks or {}
        self._points: dict[Family, dict[Point, float]] = defaultdict(dict)
        for workload, latency in latencies.items():
            self._points[family(workload)][coordinates(workload)] = latency
        self._grids: dict[Family, Grid] = {}

    def __contains__(self, workload: Workload) -> bool:
        """Whether anything of the workload's family was measured."""
        return family(workload) in self._points

    def grid(self, workload: Workload) -> Grid:
        """The grid of the workload's family; built when first asked for."""
        key = family(workload)
        if key not in self._grids:
            points = self._points[key]
            block = self._blocks.get(block_kind(workload), self._blocks.get("", 1))
            self._grids[key] = Grid(list(points), list(points.values()), block)
        return self._grids[key]

    def sums(self, networks: Iterable[Sequence[Workload]]) -> NDArray[np.float64]:
        """Return the summed latency of each network; NaN where one lies outside the hull."""
        rows = [list(network) for network in networks]
        asked: dict[Family, dict[Workload, float]] = defaultdict(dict)
        for workload in {one for row in rows for one in row}:
            asked[family(workload)][workload] = np.nan
        for found in asked.values():
            first = next(iter(found))
            if first in self:
                places = np.array([coordinates(one) for one in found]).T
                found.update(zip(found, self.grid(first)(places).tolist(), strict=True))
        return np.array([sum(asked[family(one)][one] for one in row) for row in rows])


def best_blocks(latencies: Mapping[Workload, float]) -> dict[str, int]:
    """Return for each kind the channel block that predicts left-out measurements best.

    Each family is split in folds; every fold is predicted from the others. Errors are absolute,
    so that what costs most counts most. A larger block must pay: ties go to the smaller one. Kinds
    with a block of 1 are left out.
    """
    kinds: dict[str, dict[Workload, float]] = defaultdict(dict)
    for workload, latency in latencies.items():
        kinds[block_kind(workload)][workload] = latency
    found = {kind: _best_block(members) for kind, members in sorted(kinds.items())}
    return {kind: block for kind, block in found.items() if block > 1}


def _best_block(latencies: Mapping[Workload, float]) -> int:
    grouped: dict[Family, tuple[list[Point], list[float]]] = defaultdict(lambda: ([], []))
    for workload, latency in latencies.items():
        points, values = grouped[family(workload)]
        points.append(coordinates(workload))
        values.append(latency)
    channels = np.array([c for points, _ in grouped.values() for point in points for c in point])
    # blocks that all measured counts are multiples of cannot be told apart
    blocks = [block for block in BLOCKS if block == 1 or (channels % block).any()]
    errors = {
        block: sum(
            _left_out_error(np.array(points), np.array(values), block)
            for points, values in grouped.values()
            if len(points) >= 2 * FOLDS
        )
        for block in blocks
    }
    return min(blocks, key=lambda block: (errors[block] > 0.9 * errors[1], errors[block], block))


def _left_out_error(points: NDArray[np.int64], values: NDArray[np.float64], block: int) -> float:
    fold = np.random.default_rng(0).permutation(len(points)) % FOLDS
    total = 0.0
    for left_out in range(FOLDS):
        out = fold == left_out
        grid = Grid([tuple(p) for p in points[~out].tolist()], values[~out].tolist(), block)
        error = np.abs(grid(points[out].T) - values[out])
        total += float(np.nansum(error))  # what only the left-out point bounded tells nothing
    return total


def _line_through(points: NDArray[np.int64]) -> tuple[Point, Point] | None:
    """A point and a direction, if ``(N, 2)`` points lie on one line along neither axis."""
    if points.shape[1] != 2:
        return None
    start = points[0]
    steps = points - start
    far = steps[np.abs(steps[:, 0]).argmax()]
    if not far.all() or (steps[:, 0] * far[1] != steps[:, 1] * far[0]).any():
        return None
    return (int(start[0]), int(start[1])), (int(far[0]), int(far[1]))


def _blocked(channels: NDArray[np.int64], block: int) -> NDArray[np.int64]:
    return np.where(channels < block, channels, -(-channels // block) * block)
