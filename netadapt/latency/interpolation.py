"""Latency between measured channels: steps kept, linear between them, never beyond the hull."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Point = tuple[int, ...]


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


class VectorGrid:
    """Interpolation for a target that computes the channels beyond whole vectors one by one.

    Multiples of the ``vector`` lie on a curve of their own. Every other count costs a factor more
    than that curve has there. The factor is interpolated between the other counts that were
    measured, and constant beyond them.

    Args:
        channels: ``(N,)`` measured; at least one is a multiple.
        values: ``(N,)`` what was measured there.
        vector: channels that the target computes at once.
    """

    def __init__(
        self, channels: NDArray[np.int64], values: NDArray[np.float64], vector: int
    ) -> None:
        order = np.argsort(channels)
        channels, values = channels[order], values[order]
        whole = channels % vector == 0
        self._vector = vector
        self._ends = channels[0], channels[-1]
        self._whole = channels[whole], values[whole]
        rest = channels[~whole]
        self._rest = rest, values[~whole] / np.interp(rest, *self._whole)

    def __call__(self, coordinates: NDArray[np.int64]) -> NDArray[np.float64]:
        """Interpolate at ``(1, B)`` channel counts; NaN outside what was measured."""
        channels = coordinates[0]
        found: NDArray[np.float64] = np.interp(channels, *self._whole)
        rest = channels % self._vector != 0
        if len(self._rest[0]):
            found[rest] *= np.interp(channels[rest], *self._rest)
        lowest, highest = self._ends
        found[(channels < lowest) | (channels > highest)] = np.nan
        return found


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
