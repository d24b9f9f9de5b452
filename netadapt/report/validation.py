"""How well a latency table predicts whole networks."""

from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure, SubFigure

from netadapt.report import style
from netadapt.report.quality import TableQuality, read_validation

BAND_PERCENT = 5
HEIGHT_INCHES = 4.1
LEAST_ROOM_PERCENT = 1.2 * BAND_PERCENT
LEGEND_ROOM = 0.25  # of the height of the data

_DOTS: dict[str, Any] = {
    "linestyle": "none",
    "marker": "o",
    "color": style.BLUE,
    "markeredgecolor": "white",
    "markersize": 6,
}


def plot_validation(path: Path) -> Figure:
    """Draw predicted against measured latency, in ms, for a table's ``validation.csv``.

    On the left the latencies, on the right by how much each prediction is off. Where networks
    were timed twice (``repeat_ms``), the legend gives by how much the clock differs from itself.

    Raises:
        UserError: the file is missing or damaged, or a latency is not positive.
    """
    figure = Figure(figsize=(style.WIDTH_INCHES, HEIGHT_INCHES), layout="constrained")
    draw_validation(figure, path)
    target = style.shortened(path.resolve().parent.name, 60)
    figure.suptitle(f"Whole networks on {target}", fontsize="medium")
    return figure


def draw_validation(figure: Figure | SubFigure, path: Path) -> None:
    """As ``plot_validation``, into a figure, without a title."""
    networks = read_validation(path)
    left, right = figure.subplots(1, 2)
    _draw_latencies(left, networks)
    _draw_errors(right, networks)


def _draw_latencies(axes: Axes, networks: TableQuality) -> None:
    style.tidy(axes)
    everything = np.concatenate((networks.predicted_ms, networks.measured_ms))
    lower, upper = everything.min(), everything.max()
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
    error = np.abs(networks.errors).mean()
    count = len(networks.measured_ms)
    axes.set_title(f"{count} networks, mean absolute error {error:.1f} %", fontsize=style.SMALL)
    axes.plot(networks.measured_ms, networks.predicted_ms, **_DOTS)
    axes.set_xlim(edges[0], edges[1])
    axes.set_ylim(edges[0], edges[1])
    axes.set_box_aspect(1)
    axes.set_xlabel("measured latency, ms")
    axes.set_ylabel("predicted latency, ms")
    axes.legend(loc="upper left", fontsize=style.SMALL, frameon=False)


def _draw_errors(axes: Axes, networks: TableQuality) -> None:
    style.tidy(axes)
    axes.axhspan(-BAND_PERCENT, BAND_PERCENT, color=style.SKY, alpha=0.25, linewidth=0)
    axes.axhline(0, color=style.INK, linewidth=1)
    noise = networks.noise
    if noise.size:
        twice = ~np.isnan(networks.repeat_ms)
        axes.plot(
            networks.measured_ms[twice],
            noise,
            linestyle="none",
            marker="x",
            color=style.GREY,
            markersize=5,
            label=f"measured twice, differs by {np.abs(noise).mean():.1f} %",
        )
    within = 100 * float((np.abs(networks.errors) <= BAND_PERCENT).mean())
    axes.set_title(f"{within:.0f} % of them within ±{BAND_PERCENT} %", fontsize=style.SMALL)
    axes.plot(networks.measured_ms, networks.errors, **_DOTS, label="predicted")
    shown = np.concatenate((networks.errors, noise, (-LEAST_ROOM_PERCENT, LEAST_ROOM_PERCENT)))
    low, high = 1.1 * shown.min(), 1.1 * shown.max()
    axes.set_ylim(low, high + LEGEND_ROOM * (high - low))
    axes.set_xlabel("measured latency, ms")
    axes.set_ylabel("prediction too high by, %")
    axes.set_box_aspect(1)
    axes.legend(loc="upper left", fontsize=style.SMALL, frameon=False)
