"""How far a table is from the clock: whole networks, predicted and measured."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from netadapt.errors import UserError
from netadapt.files import existing_file, write_atomic
from netadapt.latency.energy import HIGHEST_MJ
from netadapt.latency.fields import MAX_SIZE
from netadapt.latency.table import LONGEST_US, MAX_BYTES, MAX_COLUMNS
from netadapt.texts import csv_problem, require_few_columns

UNSTEADY = 3.0  # percent between two measurements of the same networks
INACCURATE = 5.0  # percent between predicted and measured
VALIDATION_COLUMNS = ("network", "predicted_ms", "measured_ms", "repeat_ms")
ENERGY_COLUMNS = ("energy_mj", "energy_predicted_mj")  # where the device has a counter


@dataclass(frozen=True)
class Report:
    """What a profile measured, and the table's error.

    Attributes:
        workloads: rows that the network needs at the designed widths.
        added: rows that were measured now.
        mape: mean absolute error of whole networks, percent of the measured latency.
        within_5: share of the networks within 5 %, percent; ``within_10`` likewise.
        spearman: rank correlation of predicted and measured.
        repeatability: mean difference of the same networks measured twice, percent.
        energy_mape: as ``mape``, of the energy of a run; ``None`` without a counter.
    """

    workloads: int
    added: int
    mape: float
    within_5: float
    within_10: float
    spearman: float
    repeatability: float
    energy_mape: float | None = None

    @property
    def warning(self) -> str:
        """Say what is wrong with the table; empty if nothing is."""
        if self.repeatability > UNSTEADY:
            return (
                f"whole networks differed by {self.repeatability:.2f} % when they were measured "
                "twice: the machine was busy with something else; for a reliable table remove the "
                "folder and profile again when it is quiet"
            )
        if self.mape > INACCURATE:
            return (
                f"predictions are {self.mape:.2f} % off on average, although the machine was "
                "steady: they rank networks, but trust only measured latencies"
            )
        return ""


def warning_of(folder: Path) -> str:
    """Return the warning of the table in ``folder``; empty if there is none, or no validation."""
    if not (folder / "validation.csv").exists():
        return ""
    return summarise(load_validation(folder)).warning


def summarise(validation: pd.DataFrame, workloads: int = 0, added: int = 0) -> Report:
    """Compare predicted and measured latency of ``validation``."""
    measured = validation["measured_ms"].to_numpy()
    error = np.abs(validation["predicted_ms"].to_numpy() / measured - 1)
    repeat = np.abs(validation["repeat_ms"].to_numpy() / measured - 1)
    constant = validation["predicted_ms"].nunique() < 2  # nothing can be pruned: no rank to tell
    ranks = validation[["predicted_ms", "measured_ms"]].rank()
    spearman = np.nan if constant else ranks["predicted_ms"].corr(ranks["measured_ms"])
    return Report(
        workloads=workloads,
        added=added,
        mape=float(error.mean() * 100),
        within_5=float((error <= 0.05).mean() * 100),
        within_10=float((error <= 0.10).mean() * 100),
        spearman=float(spearman),
        repeatability=float(repeat.mean() * 100),
        energy_mape=energy_mape(validation),
    )


def energy_mape(validation: pd.DataFrame) -> float | None:
    """Return the mean absolute error of the predicted energies, in percent; ``None`` without any.

    Networks that the counter was too coarse to see are left out.
    """
    if not set(ENERGY_COLUMNS) <= set(validation.columns):
        return None
    seen = validation[validation["energy_mj"] > 0]
    if seen.empty:
        return None
    return float((seen["energy_predicted_mj"] / seen["energy_mj"] - 1).abs().mean() * 100)


def drift_percent(validation: pd.DataFrame) -> float:
    """Return by how many percent the median network is slower than before, from ``revalidate``."""
    return float(((validation["measured_ms"] / validation["then_ms"]).median() - 1) * 100)


def save_validation(folder: Path, validation: pd.DataFrame) -> None:
    """Write ``validation.csv``: whole networks, predicted and measured, in ms."""
    write_atomic(folder / "validation.csv", validation.to_csv(index=False, float_format="%.5g"))


def load_validation(folder: Path) -> pd.DataFrame:
    """Read ``validation.csv``. Raises ``UserError`` if it is missing or damaged."""
    path = existing_file(folder / "validation.csv", "validation")
    try:
        require_few_columns(path, MAX_COLUMNS, MAX_BYTES)
    except ValueError as error:
        raise UserError(f"{path} is no validation: {error}") from None
    try:
        frame = pd.read_csv(path)
    except (ValueError, pd.errors.ParserError) as error:
        raise UserError(f"{path} is damaged: {csv_problem(error)}") from None
    absent = [name for name in VALIDATION_COLUMNS if name not in frame.columns]
    if absent:
        raise UserError(f"{path} has no column {absent[0]}")
    if frame.empty:
        raise UserError(f"{path} has no rows; remove it and profile again")
    for name in frame.columns:
        numbers = pd.to_numeric(frame[name], errors="coerce")
        if name in VALIDATION_COLUMNS[1:]:
            sound = (numbers > 0) & (numbers <= LONGEST_US / 1000)
            what = "no latency in ms"
        elif is_group(name):
            sound = (numbers >= 1) & (numbers <= MAX_SIZE) & (numbers % 1 == 0)
            what = "no number of channels"
        elif name in ENERGY_COLUMNS:
            sound = (numbers >= 0) & (numbers <= HIGHEST_MJ)
            what = "no energy in mJ"
        else:
            continue
        if not sound.all():
            value = str(frame[name][~sound].iloc[0])[:40]
            raise UserError(f"{path} is damaged: {name} holds {value}, {what}")
    return frame


def is_group(column: str) -> bool:
    """Whether a column of ``validation.csv`` holds the widths of a channel group."""
    return column not in VALIDATION_COLUMNS and not column.startswith("energy_")
