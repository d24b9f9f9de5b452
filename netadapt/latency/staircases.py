"""Latency against channels, family by family, as a table knows it."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from netadapt.latency.catalogue import family_name
from netadapt.latency.channel_steps import Interpolation
from netadapt.latency.surfaces import Surfaces
from netadapt.latency.table import Latency, LatencyTable
from netadapt.latency.workloads import Family, Workload, coordinates, family

CURVES = 3
STEADY_POINTS = 4


def staircases(table: LatencyTable, count: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return latency against channels for the ``count`` families with the longest workloads.

    Both frames have ``family``, ``axis`` (what ``channels`` are: ``output channels``, ``input
    channels`` or ``channels``), ``channels`` and ``beside`` (the input channels that go with
    them, NaN in families of one number). The first holds what was measured, as ``p10_us``,
    ``p50_us``, ``p90_us``; the second what the table answers at every channel count, as ``us``,
    NaN outside its hull, for a few numbers of input channels.
    """
    members: dict[Family, list[Workload]] = {}
    for workload in table.rows:
        members.setdefault(family(workload), []).append(workload)
    longest = {key: max(table.rows[one].p50_us for one in group) for key, group in members.items()}
    biggest = sorted(members, key=lambda key: -longest[key])[:count]
    calibration = table.target.calibrations[-1] if table.target.calibrations else None
    surfaces = Surfaces(table.p50_us(), calibration.channel_steps if calibration else None)
    views = [_Family(members[key], table.rows) for key in biggest]
    measured = [view.measured() for view in views]
    curves = [view.curves(surfaces.grid(view.first)) for view in views]
    return _stacked(measured), _stacked(curves)


def _stacked(frames: list[pd.DataFrame]) -> pd.DataFrame:
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


class _Family:
    """One family's measurements along one axis of channels, the other axis beside it."""

    def __init__(self, members: list[Workload], rows: Mapping[Workload, Latency]) -> None:
        self.first = members[0]
        self._rows = [rows[one] for one in members]
        self._points = np.array([coordinates(one) for one in members])
        two = self._points.shape[1] == 2
        # where only the input varies, as before an output of one channel, that is the axis
        self._axis = 1 if two and np.ptp(self._points[:, 1]) else 0
        self._name = ("input channels", "output channels")[self._axis] if two else "channels"
        self._has_beside = two and self._axis == 1 and bool(np.ptp(self._points[:, 0]))

    def measured(self) -> pd.DataFrame:
        beside = self._points[:, 0] if self._has_beside else np.full(len(self._rows), np.nan)
        quantiles = {
            name: [getattr(row, name) for row in self._rows]
            for name in ("p10_us", "p50_us", "p90_us")
        }
        return self._frame(self._points[:, self._axis], beside, quantiles)

    def curves(self, grid: Interpolation) -> pd.DataFrame:
        along = self._points[:, self._axis]
        channels = np.arange(along.min(), along.max() + 1)
        frames = []
        for level in self._levels():
            places = np.tile(self._points[0], (len(channels), 1))
            places[:, self._axis] = channels
            if self._has_beside:
                places[:, 0] = level
            beside = np.full(len(channels), level if self._has_beside else np.nan)
            frames.append(self._frame(channels, beside, {"us": grid(places.T)}))
        return _stacked(frames)

    def _levels(self) -> NDArray[np.int64]:
        """A few numbers of input channels, of those that were measured with enough others."""
        levels, counts = np.unique(self._points[:, 0], return_counts=True)
        if not self._has_beside:
            return levels[:1]
        steady = levels[counts >= min(STEADY_POINTS, counts.max())]
        chosen = np.linspace(0, len(steady) - 1, min(CURVES, len(steady))).round().astype(int)
        return np.asarray(steady[chosen], dtype=np.int64)

    def _frame(
        self, channels: NDArray[np.int64], beside: NDArray[np.float64], values: Mapping[str, object]
    ) -> pd.DataFrame:
        return pd.DataFrame(
            {
                "family": family_name(self.first),
                "axis": self._name,
                "channels": channels,
                "beside": beside,
                **values,
            }
        )
