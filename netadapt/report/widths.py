"""How the widths fell: a heat map of channel groups over iterations."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from netadapt.report import style
from netadapt.report.runs import RunView

COLOUR_MAP = "viridis"

_FINAL_COLUMN_INCHES = 0.26
_LONGEST_NAME = 30


def plot_widths(run: RunView) -> Figure:
    """Draw the share of its full width that each channel group keeps at each iteration.

    Columns on the left are the candidates that the iterations selected; on the right, the
    networks fine-tuned long, by falling latency in ms, if the run has any. The channels of
    the last column stand at its right.
    """
    rows = run.candidates
    steps = (rows["selected"] & (rows["stage"] == "short")) | (rows["stage"] == "base")
    path = rows[steps].sort_values("iteration", kind="stable")
    finals = rows[rows["stage"] == "long"].sort_values("predicted_ms", ascending=False)
    full = run.base[list(run.groups)].to_numpy(dtype=np.float64)

    height = max(1.7 + 0.23 * len(run.groups), 3.4)
    figure = Figure(figsize=(style.WIDTH_INCHES, height), layout="constrained")
    figure.suptitle(f"{style.shortened(run.name, 40)}: widths by iteration, {run.goal}")
    left, *right = figure.subplots(
        1, 1 if finals.empty else 2, squeeze=False, sharey=True, width_ratios=_ratios(len(finals))
    ).flat
    image = _draw_shares(left, run, path, full)
    left.set_yticks(
        range(len(run.groups)),
        [style.shortened(group, _LONGEST_NAME) for group in run.groups],
        fontsize=style.SMALL,
    )
    left.set_ylabel("channel group")
    left.set_xlabel("iteration (0: base network)")
    if len(path) > 1:
        left.xaxis.set_major_locator(MaxNLocator(integer=True))
    else:
        left.set_xticks([0])
    last = path
    for axes in right:
        _draw_shares(axes, run, finals, full)
        axes.set_xticks(range(len(finals)), _latencies(finals), rotation=90, fontsize=style.SMALL)
        axes.set_xlabel("fine-tuned long,\nmeasured ms")
        axes.tick_params(left=False)
        last = finals
    _write_channels((left, *right)[-1], last.iloc[-1][list(run.groups)].to_numpy(dtype=float), full)
    figure.colorbar(
        image, ax=[left, *right], label="share of the full width, %", fraction=0.05, pad=0.02
    )
    return figure


def _ratios(finals: int) -> list[float]:
    if not finals:
        return [1.0]
    final_inches = max(_FINAL_COLUMN_INCHES * finals, 0.5)
    return [max(4.6 - final_inches, 2.0), final_inches]


def _draw_shares(
    axes: Axes,
    run: RunView,
    columns: pd.DataFrame,
    full: NDArray[np.floating[Any]],
) -> AxesImage:
    share = 100 * columns[list(run.groups)].to_numpy(dtype=np.float64).T / full[:, None]
    return axes.imshow(
        share, cmap=COLOUR_MAP, vmin=0, vmax=100, aspect="auto", interpolation="nearest"
    )


def _latencies(rows: pd.DataFrame) -> list[str]:
    return ["-" if np.isnan(measured) else f"{measured:.3g}" for measured in rows["measured_ms"]]


def _write_channels(
    axes: Axes,
    widths: NDArray[np.floating[Any]],
    full: NDArray[np.floating[Any]],
) -> None:
    for row, (kept, whole) in enumerate(zip(widths, full, strict=True)):
        axes.annotate(
            f"{kept:.0f}/{whole:.0f}",
            xy=(1.0, row),
            xycoords=("axes fraction", "data"),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=style.SMALL,
        )
    axes.annotate(
        "channels",
        xy=(1.0, 1.0),
        xycoords="axes fraction",
        xytext=(4, 3),
        textcoords="offset points",
        fontsize=style.SMALL,
    )
