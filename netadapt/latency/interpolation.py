"""Latency between measured widths: piecewise linear, never beyond the hull."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import LinearNDInterpolator
from scipy.spatial import QhullError


class Grid:
    """Multilinear interpolation over the channels of one family of workloads.

    The axes are all channel counts measured. A node that was not measured itself is filled
    from its measured neighbours (Delaunay); where there are none around it, it is NaN.
    """

    def __init__(self, points: Sequence[tuple[int, ...]], values: Sequence[float]) -> None:
        coordinates = np.asarray(points, dtype=np.float64)
        self.axes = [np.unique(column) for column in coordinates.T]
        places = tuple(
            np.searchsorted(axis, column)
            for axis, column in zip(self.axes, coordinates.T, strict=True)
        )
        self.nodes = np.full([len(axis) for axis in self.axes], np.nan)
        self.nodes[places] = values
        if np.isnan(self.nodes).any():
            self._fill(coordinates, np.asarray(values, dtype=np.float64))

    def __call__(self, coordinates: NDArray[np.float64]) -> NDArray[np.float64]:
        """Interpolate at ``(B, K)`` channel counts; NaN outside what was measured."""
        corner: list[NDArray[np.intp]] = []
        fraction: list[NDArray[np.float64]] = []
        outside = np.zeros(len(coordinates), dtype=bool)
        for axis, column in zip(self.axes, coordinates.T, strict=True):
            outside |= (column < axis[0]) | (column > axis[-1])
            if len(axis) == 1:
                corner.append(np.zeros(len(column), dtype=np.intp))
                fraction.append(np.zeros(len(column)))
                continue
            place = np.clip(np.searchsorted(axis, column, side="right") - 1, 0, len(axis) - 2)
            corner.append(place)
            fraction.append((column - axis[place]) / (axis[place + 1] - axis[place]))
        total = np.zeros(len(coordinates))
        for bits in np.ndindex(*(2,) * len(self.axes)):
            weight = np.ones(len(coordinates))
            place_of = []
            for bit, place, part, axis in zip(bits, corner, fraction, self.axes, strict=True):
                weight = weight * (part if bit else 1 - part)
                place_of.append(np.minimum(place + bit, len(axis) - 1))
            value = self.nodes[tuple(place_of)]
            total += np.where(weight > 0, weight * value, 0.0)
        total[outside] = np.nan
        return total

    def _fill(self, points: NDArray[np.float64], values: NDArray[np.float64]) -> None:
        holes = np.argwhere(np.isnan(self.nodes))
        wanted = np.stack(
            [axis[column] for axis, column in zip(self.axes, holes.T, strict=True)], 1
        )
        try:
            fill = LinearNDInterpolator(points, values, rescale=True)
        except QhullError:  # all on one line: nothing lies between them in two dimensions
            return
        self.nodes[tuple(holes.T)] = fill(wanted)
