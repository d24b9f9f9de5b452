"""How well a latency table predicts whole networks."""

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from netadapt.errors import UserError
from netadapt.viz import style
from netadapt.viz.runs import numbers, read_table, require_columns

BAND_PERCENT = 5


def plot_validation(path: Path) -> Figure:
    """Draw predicted against measured latency, in ms, for a table's ``validation.csv``.

    The legend gives the mean absolute error and, where networks were timed twice
    (``repeat_ms``), by how much the clock differs from itself.

    Raises:
        UserError: the file is missing or damaged, or a latency is not positive.
    """
    table = read_table(path)
    require_columns(table, ("network", "predicted_ms", "measured_ms", "repeat_ms"), path)
    predicted = numbers(table, "predicted_ms", path, optional=False).to_numpy()
    measured = numbers(table, "measured_ms", path, optional=False).to_numpy()
    repeat = numbers(table, "repeat_ms", path, optional=True).to_numpy()
    if min(predicted.min(), measured.min()) <= 0:
        raise UserError(f"{path}: a latency is not positive; run: netadapt profile-lut")

    figure = Figure(figsize=(6.4, 6.0), layout="compressed")
    axes = figure.add_subplot()
    style.tidy(axes)
    lower, upper = min(predicted.min(), measured.min()), max(predicted.max(), measured.max())
    room = 0.06 * (upper - lower) or 0.06 * upper
    edges = np.array([max(lower - room, 0.0), upper + room])
    band = BAND_PERCENT / 100
    axes.fill_between(
        edges,
        edges * (1 - band),
        edges * (1 + band),
        color=style.SKY,
        alpha=0.25,
        linewidth=0,
        label=f"within ±{BAND_PERCENT} % of measured",
    )
    axes.plot(edges, edges, color=style.INK, linewidth=1, label="predicted = measured")
    error = 100 * float(np.mean(np.abs(predicted / measured - 1)))
    axes.plot(
        measured,
        predicted,
        linestyle="none",
        marker="o",
        color=style.BLUE,
        markeredgecolor="white",
        markersize=7,
        label=f"{len(table)} networks, mean absolute error {error:.1f} %",
    )
    if not np.isnan(repeat).all():
        noise = 100 * float(np.nanmean(np.abs(repeat / measured - 1)))
        axes.plot([], [], linestyle="none", label=f"measured twice, differs by {noise:.1f} %")
    axes.set_xlim(edges[0], edges[1])
    axes.set_ylim(edges[0], edges[1])
    axes.set_aspect("equal")
    axes.set_xlabel("measured latency, ms")
    axes.set_ylabel("predicted latency, ms")
    axes.set_title(f"Whole networks on {style.shortened(path.resolve().parent.name, 48)}")
    axes.legend(loc="upper left", fontsize=style.SMALL, frameon=False)
    return figure
