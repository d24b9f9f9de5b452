"""How far a table is from the clock."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.stats import spearmanr


@dataclass(frozen=True)
class Report:
    """What a profile measured, and how far the table is from the clock.

    Attributes:
        workloads: rows that the network needs at the designed widths.
        added: rows that were measured now.
        mape: mean absolute error of whole networks, percent of the measured latency.
        within_5: share of the networks within 5 %, percent; ``within_10`` likewise.
        spearman: rank correlation of predicted and measured.
        repeatability: mean difference of the same networks measured twice, percent.
    """

    workloads: int
    added: int
    mape: float
    within_5: float
    within_10: float
    spearman: float
    repeatability: float


def summarise(validation: pd.DataFrame, workloads: int = 0, added: int = 0) -> Report:
    """Compare predicted and measured latency of ``validation``."""
    measured = validation["measured_ms"].to_numpy()
    error = np.abs(validation["predicted_ms"].to_numpy() / measured - 1)
    repeat = np.abs(validation["repeat_ms"].to_numpy() / measured - 1)
    constant = validation["predicted_ms"].nunique() < 2  # nothing can be pruned: no rank to tell
    rank = float("nan") if constant else spearmanr(validation["predicted_ms"], measured).statistic
    return Report(
        workloads=workloads,
        added=added,
        mape=float(error.mean() * 100),
        within_5=float((error <= 0.05).mean() * 100),
        within_10=float((error <= 0.10).mean() * 100),
        spearman=float(rank),
        repeatability=float(repeat.mean() * 100),
    )


def drift_percent(validation: pd.DataFrame) -> float:
    """By how many percent the median network is slower than it was, from ``revalidate``."""
    return float(((validation["measured_ms"] / validation["then_ms"]).median() - 1) * 100)
