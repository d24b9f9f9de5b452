"""The workloads of one network, looked up in a table for many widths at once."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from netadapt.latency.surfaces import Surfaces
from netadapt.latency.working_set import megabytes
from netadapt.latency.workloads import Workload, WorkloadMap


class WorkloadSum:
    """Looks up every workload of a network; blocks that are dropped make another network.

    Attributes:
        map: from widths to workloads.
        full: the workloads at full widths.
    """

    def __init__(
        self, workloads: WorkloadMap, full: tuple[Workload, ...], surfaces: Surfaces
    ) -> None:
        self.map = workloads
        self.full = full
        self._grids = [surfaces.grid(workload) for workload in full]
        needed = sorted({column for columns in workloads.columns for column in columns})
        self._constant = workloads.operations.constant[needed]
        self._coefficient = workloads.operations.coefficient[needed]
        self._places = [
            [needed.index(column) for column in columns] for columns in workloads.columns
        ]

    def parts_us(self, widths: NDArray[np.int64]) -> Iterator[NDArray[np.float64]]:
        """Yield the ``(B,)`` microseconds of each workload, NaN outside the table."""
        channels = self._channels(widths)
        for grid, places in zip(self._grids, self._places, strict=True):
            yield grid(channels[places])

    def working_sets(
        self, widths: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the ``(B,)`` MB of weights, and of weights and inputs."""
        weights, inputs = np.zeros((2, len(widths)))
        channels = self._channels(widths)
        for workload, places in zip(self.full, self._places, strict=True):
            part = megabytes(workload, channels[places])
            weights += part[0]
            inputs += part[1]
        return weights, weights + inputs

    def _channels(self, widths: NDArray[np.int64]) -> NDArray[np.int64]:
        sizes = self._coefficient @ np.asarray(widths, dtype=np.float64).T
        sizes += self._constant[:, None]
        return np.rint(sizes).astype(np.int64)
