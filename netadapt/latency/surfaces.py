"""The interpolation of a whole table."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from netadapt.latency.channel_steps import ChannelSteps, Interpolation
from netadapt.latency.interpolation import Point
from netadapt.latency.workloads import Family, Workload, block_kind, coordinates, family


class Surfaces:
    """The interpolation of every family of workloads in a table.

    Args:
        latencies: microseconds of each measured workload.
        steps: how each kind of workload takes its channels; ``None``: smoothly.
    """

    def __init__(
        self, latencies: Mapping[Workload, float], steps: ChannelSteps | None = None
    ) -> None:
        self._steps = steps or ChannelSteps()
        self._points: dict[Family, dict[Point, float]] = defaultdict(dict)
        for workload, latency in latencies.items():
            self._points[family(workload)][coordinates(workload)] = latency
        self._grids: dict[Family, Interpolation] = {}

    def __contains__(self, workload: Workload) -> bool:
        """Whether anything of the workload's family was measured."""
        return family(workload) in self._points

    def grid(self, workload: Workload) -> Interpolation:
        """The grid of the workload's family; built when first asked for."""
        key = family(workload)
        if key not in self._grids:
            points = self._points[key]
            kind = block_kind(workload)
            self._grids[key] = self._steps.grid(kind, list(points), list(points.values()))
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
