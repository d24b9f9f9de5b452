"""How well a table's workloads predict each other: each left out in turn."""

from collections import defaultdict

import numpy as np
import pandas as pd

from netadapt.latency.catalogue import kind_name
from netadapt.latency.channel_steps import FOLDS, ChannelSteps
from netadapt.latency.surfaces import Surfaces
from netadapt.latency.table import LatencyTable
from netadapt.latency.workloads import Workload, coordinates, family

LEAST_POINTS = 2 * FOLDS


def errors_by_kind(table: LatencyTable) -> pd.DataFrame:
    """Return how far interpolation is off for workloads that were left out, one row per kind.

    Every family of at least 14 workloads is split into 7 folds, and each fold is predicted from
    the others. Columns: ``kind``; ``workloads``, how many could be predicted; ``p50_percent`` and
    ``p90_percent``, quantiles of the absolute error in percent of the measured p50. The kind with
    the largest error comes first; kinds of small families are not there.
    """
    calibrations = table.target.calibrations
    steps = calibrations[-1].channel_steps if calibrations else None
    members: dict[object, list[Workload]] = defaultdict(list)
    for workload in table.rows:
        members[family(workload)].append(workload)
    errors: dict[str, list[float]] = defaultdict(list)
    for group in members.values():
        if len(group) >= LEAST_POINTS:
            errors[kind_name(group[0])] += _errors(group, table, steps)
    rows = [
        {
            "kind": kind,
            "workloads": len(found),
            "p50_percent": float(np.percentile(found, 50)),
            "p90_percent": float(np.percentile(found, 90)),
        }
        for kind, found in errors.items()
        if found
    ]
    columns = ["kind", "workloads", "p50_percent", "p90_percent"]
    frame = pd.DataFrame(rows, columns=columns)
    return frame.sort_values("p90_percent", ascending=False, ignore_index=True)


def _errors(group: list[Workload], table: LatencyTable, steps: ChannelSteps | None) -> list[float]:
    fold = np.random.default_rng(0).permutation(len(group)) % FOLDS
    found: list[float] = []
    for left_out in range(FOLDS):
        parts = list(zip(group, fold == left_out, strict=True))
        inside = {workload: table.rows[workload].p50_us for workload, out in parts if not out}
        outside = [workload for workload, out in parts if out]
        measured = np.array([table.rows[workload].p50_us for workload in outside])
        grid = Surfaces(inside, steps).grid(outside[0])
        predicted = grid(np.array([coordinates(workload) for workload in outside]).T)
        off = 100 * np.abs(predicted / measured - 1)
        found += off[~np.isnan(off)].tolist()  # beyond the hull of the others nothing is predicted
    return found
