"""How far a table's predictions are from the clock."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from netadapt.errors import UserError
from netadapt.latency.validation import ENERGY_COLUMNS, energy_mape
from netadapt.report.settings import read_json
from netadapt.report.tables import numbers, read_table, require_columns

TARGET_FACTS = (
    "hardware", "device", "runtime", "runtime_version", "threads", "precision", "batch", "cpus",
    "provider", "system", "date",
)  # fmt: skip
NEAREST_FOLDERS = 4


@dataclass(frozen=True)
class TableQuality:
    """What a table's ``validation.csv`` says; ``repeat_ms`` is NaN for networks timed once.

    ``energy_mape`` is the mean absolute error of the predicted energy of a run, in percent.
    """

    predicted_ms: NDArray[np.float64]
    measured_ms: NDArray[np.float64]
    repeat_ms: NDArray[np.float64]
    energy_mape: float | None = None

    @property
    def errors(self) -> NDArray[np.float64]:
        """Percent of the measured latency by which each prediction is too high."""
        return 100 * (self.predicted_ms / self.measured_ms - 1)

    @property
    def noise(self) -> NDArray[np.float64]:
        """Percent by which the second measurement is higher, of networks that have one."""
        twice = ~np.isnan(self.repeat_ms)
        return 100 * (self.repeat_ms[twice] / self.measured_ms[twice] - 1)

    @property
    def predicted_range(self) -> tuple[float, float]:
        """Measured over predicted latency: the 10th and the 90th percentile of the networks."""
        low, high = np.percentile(self.measured_ms / self.predicted_ms, (10, 90))
        return float(low), float(high)

    @property
    def repeat_percent(self) -> float | None:
        """By how much nine of ten networks at most differ when timed again, percent."""
        return float(np.percentile(np.abs(self.noise), 90)) if self.noise.size else None


def find_table(lut: str, run: Path) -> Path | None:
    """Return the folder of the table ``lut``, as given, or beside the run; ``None`` if it is gone.

    A run remembers the path as it was given, relative to the folder the search was started in.
    """
    if not lut:
        return None
    near = [parent / lut for parent in run.resolve().parents[:NEAREST_FOLDERS]]
    return next((path for path in (Path(lut), *near) if (path / "target.json").is_file()), None)


def read_quality(folder: Path) -> TableQuality | None:
    """Read ``validation.csv`` of a table; ``None`` if it has none.

    Raises:
        UserError: it is damaged.
    """
    path = folder / "validation.csv"
    return read_validation(path) if path.exists() else None


def read_validation(path: Path) -> TableQuality:
    """Read the file ``validation.csv`` in ``path``.

    Raises:
        UserError: it is missing or damaged, or a latency is not positive.
    """
    table = read_table(path)
    require_columns(table, ("network", "predicted_ms", "measured_ms", "repeat_ms"), path)
    predicted, measured, repeat = (
        np.asarray(numbers(table, name, path, optional=name == "repeat_ms"), dtype=np.float64)
        for name in ("predicted_ms", "measured_ms", "repeat_ms")
    )
    if min(predicted.min(), measured.min()) <= 0:
        raise UserError(f"{path}: a latency is not positive; run: netadapt profile-lut")
    return TableQuality(predicted, measured, repeat, _energy_mape(table, path))


def _energy_mape(table: pd.DataFrame, path: Path) -> float | None:
    known = [name for name in ENERGY_COLUMNS if name in table.columns]
    return energy_mape(
        pd.DataFrame({name: numbers(table, name, path, optional=False) for name in known})
    )


def quality_data(quality: TableQuality | None) -> dict[str, Any] | None:
    """Return ``quality`` for the page's script."""
    if quality is None:
        return None
    low, high = quality.predicted_range
    error = np.abs(quality.errors)
    return {
        "predicted": quality.predicted_ms.tolist(),
        "measured": quality.measured_ms.tolist(),
        "repeat": quality.repeat_ms.tolist(),
        "low": low,
        "high": high,
        "repeat_percent": quality.repeat_percent,
        "mape": float(error.mean()),
        "energy_mape": quality.energy_mape,
        "within_5": 100 * float((error <= 5).mean()),
    }


def target_facts(folder: Path) -> dict[str, Any]:
    """Return what ``target.json`` says of a target, empty fields left out."""
    target = read_json(folder / "target.json", "the table's target")
    return {name: target[name] for name in TARGET_FACTS if target.get(name) not in (None, "")}
