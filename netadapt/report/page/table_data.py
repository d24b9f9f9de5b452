"""A latency table as its page holds it."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from netadapt.errors import UserError
from netadapt.latency.catalogue import coverage
from netadapt.latency.held_out import errors_by_kind
from netadapt.latency.staircases import staircases
from netadapt.latency.table import LatencyTable
from netadapt.report.quality import quality_data, read_quality, target_facts

FAMILIES = 48


def table_data(folder: Path) -> dict[str, Any]:
    """Return what the page shows of the latency table in ``folder``.

    Raises:
        UserError: the table is damaged or has no rows.
    """
    table = LatencyTable.load(folder)
    if not table.rows:
        raise UserError(f"{folder} has no rows yet; run: netadapt profile-lut")
    measured, curves = staircases(table, FAMILIES)
    names = list(dict.fromkeys(measured["family"]))
    return {
        "name": folder.resolve().name,
        "path": str(folder),
        "facts": target_facts(folder),
        "workloads": len(table.rows),
        "calibrations": [
            one.model_dump() | {"energy": one.energy and one.energy.in_words}
            for one in table.target.calibrations
        ],
        "quality": quality_data(read_quality(folder)),
        "errors": errors_by_kind(table).to_dict("records"),
        "coverage": _words(coverage(table.rows)),
        "families": [
            _family(name, measured[measured["family"] == name], curves[curves["family"] == name])
            for name in names
        ],
    }


def _words(frame: pd.DataFrame) -> list[dict[str, Any]]:
    return [
        {str(name): value if isinstance(value, str) else str(value) for name, value in row.items()}
        for row in frame.to_dict("records")
    ]


def _family(name: str, measured: pd.DataFrame, curves: pd.DataFrame) -> dict[str, Any]:
    return {
        "name": name,
        "axis": str(measured["axis"].iloc[0]),
        "points": {
            key: measured[column].tolist()
            for key, column in (
                ("channels", "channels"),
                ("beside", "beside"),
                ("p10", "p10_us"),
                ("p50", "p50_us"),
                ("p90", "p90_us"),
            )
        },
        "curves": [_curve(curve) for _, curve in curves.groupby("beside", dropna=False)],
    }


def _curve(curve: pd.DataFrame) -> dict[str, Any]:
    """Return a curve without the points that lie on the line between their neighbours."""
    known = curve.dropna(subset="us")
    channels, us = (known[name].to_numpy(dtype=np.float64) for name in ("channels", "us"))
    bends = np.ones(len(known), dtype=bool)
    if len(known) > 2:
        slopes = np.diff(us) / np.diff(channels)
        bends[1:-1] = np.abs(np.diff(slopes)) > 1e-9 * np.abs(us).max()
    beside = float(curve["beside"].iloc[0])
    return {
        "beside": None if np.isnan(beside) else beside,
        "channels": channels[bends].tolist(),
        "us": np.round(us[bends], 3).tolist(),
    }
