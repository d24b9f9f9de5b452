"""A latency table in one picture: whole networks, and staircases family by family."""

from math import isnan
from pathlib import Path

import pandas as pd
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.figure import Figure, SubFigure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator

from netadapt.report import style
from netadapt.report.validation import HEIGHT_INCHES, draw_validation

COLUMNS = 3
PANEL_INCHES = 2.25
COLOUR_MAP = "viridis"
FEW, MANY = 0.8, 0.0  # places on the colour map
HEADROOM = 1.25
NAME_HEIGHT = 0.12  # of a panel
CAPTION = (
    "Workloads: dots are measured (p50, bars from p10 to p90), lines what the table answers.\n"
    "Where input channels matter too, three numbers of them (in) are drawn.\n"
    "A bar that ends at the top edge of its panel is longer."
)


def plot_table(
    title: str, measured: pd.DataFrame, curves: pd.DataFrame, validation: Path | None
) -> Figure:
    """Draw a latency table: whole networks, then latency against channels family by family.

    Args:
        title: names the table.
        measured: what was measured, with the columns ``family``, ``axis``, ``channels``,
            ``beside``, ``p10_us``, ``p50_us`` and ``p90_us``.
        curves: what the table answers, with the columns ``family``, ``channels``, ``beside``
            and ``us``.
        validation: the table's ``validation.csv``, if it has one.

    Raises:
        UserError: ``validation`` is damaged.
    """
    families = list(dict.fromkeys(measured["family"]))
    lines = -(-len(families) // COLUMNS)
    heights = [HEIGHT_INCHES] * (validation is not None) + [PANEL_INCHES * lines + 1.1]
    figure = Figure(figsize=(style.WIDTH_INCHES, sum(heights) + 0.4), layout="constrained")
    figure.suptitle(style.shortened(title, 70))
    parts = figure.subfigures(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0]
    if validation is not None:
        draw_validation(parts[0], validation)
    _draw_families(parts[-1], families, measured, curves)
    return figure


def _draw_families(
    figure: SubFigure, families: list[str], measured: pd.DataFrame, curves: pd.DataFrame
) -> None:
    figure.suptitle(CAPTION, fontsize="medium")
    lines = -(-len(families) // COLUMNS)
    panels = list(figure.subplots(lines, COLUMNS, squeeze=False).flat)
    for place, (axes, family) in enumerate(zip(panels, families, strict=False)):
        _draw_family(
            axes, measured[measured["family"] == family], curves[curves["family"] == family]
        )
        if place % COLUMNS == 0:
            axes.set_ylabel("latency, µs", fontsize=style.SMALL)
    for axes in panels[len(families) :]:
        axes.remove()


def _draw_family(axes: Axes, measured: pd.DataFrame, curves: pd.DataFrame) -> None:
    style.tidy(axes)
    named: list[tuple[str, pd.DataFrame, str]] = []
    for key, curve in curves.groupby("beside", dropna=False):
        beside = float(str(key))
        alone = isnan(beside)
        dots = measured if alone else measured[measured["beside"] == beside]
        colour = style.BLUE if alone else _colour(beside, measured["beside"].max())
        axes.plot(curve["channels"], curve["us"], color=colour, linewidth=1.2)
        axes.errorbar(
            dots["channels"],
            dots["p50_us"],
            yerr=[dots["p50_us"] - dots["p10_us"], dots["p90_us"] - dots["p50_us"]],
            color=colour,
            linestyle="none",
            marker="o",
            markersize=3,
            elinewidth=0.8,
        )
        if not alone:
            named.append((f"{beside:.0f}", curve, colour))
    first = measured.iloc[0]
    axes.set_title(_broken(str(first["family"])), fontsize=style.SMALL)
    axes.set_xlabel(str(first["axis"]), fontsize=style.SMALL)
    axes.tick_params(labelsize=style.SMALL)
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    axes.set_ylim(0, _top(measured, curves))
    axes.set_xlim(left=0)
    _name_curves(axes, named)


def _top(measured: pd.DataFrame, curves: pd.DataFrame) -> float:
    """End of the axis, by what is typical: a p90 far above it would flatten all else."""
    return HEADROOM * max(float(measured["p50_us"].max()), float(curves["us"].max()))


def _colour(beside: float, highest: float) -> str:
    """Darker for more input channels."""
    share = beside / highest
    return to_hex(colormaps[COLOUR_MAP](FEW + (MANY - FEW) * share))


def _name_curves(axes: Axes, named: list[tuple[str, pd.DataFrame, str]]) -> None:
    """Write the input channels at the end of each curve; those too close share a name."""
    labels: list[tuple[str, float, float, str]] = []
    for name, curve, colour in named:
        known = curve.dropna(subset="us")
        if known.empty:
            continue
        x, y = float(known.iloc[-1]["channels"]), float(known.iloc[-1]["us"])
        high, wide = (NAME_HEIGHT * edge for edge in (axes.get_ylim()[1], axes.get_xlim()[1]))
        if labels and abs(y - labels[-1][2]) < high and abs(x - labels[-1][1]) < wide:
            name = f"{labels.pop()[0]}, {name}"
        labels.append((name, x, y, colour))
    for name, x, y, colour in labels:
        axes.annotate(
            f"{name} in",
            xy=(x, y),
            xytext=(-4, 4),
            textcoords="offset points",
            ha="right",
            va="bottom",
            fontsize=style.SMALL,
            color=colour,
            path_effects=[withStroke(linewidth=3, foreground="white")],
        )


def _broken(family: str) -> str:
    """Put the size on a line of its own."""
    what, _, size = family.rpartition(" at ")
    return f"{what}\nat {size}"
