"""Fronts side by side: the table of all points, medians over seeds, and a picture."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from netadapt.files import replacing, write_atomic
from netadapt.report import style
from netadapt.report.scores import score_axis
from netadapt.search.front import hypervolume

BASE = "base"
COLUMNS = ("delta1", "rmse")
COLUMNS_OF_PANELS = 5


def interpolated(front: pd.DataFrame, share: float, column: str) -> float:
    """Return ``column`` of a front at ``share`` of the base's measured latency.

    Linear between the two points around it, or through the two nearest where there is none
    beyond it.
    """
    rows = front.sort_values("measured_share").drop_duplicates("measured_share")
    x, y = rows["measured_share"].to_numpy(), rows[column].to_numpy()
    right = int(np.clip(np.searchsorted(x, share), 1, len(x) - 1))
    slope = (y[right] - y[right - 1]) / (x[right] - x[right - 1])
    return float(y[right] + slope * (share - x[right]))


def summarised(points: pd.DataFrame, shares: Sequence[float], column: str) -> pd.DataFrame:
    """Return a row a method and seed: scores at ``shares``, hypervolume, cost.

    The base, fine-tuned as long with the same seed, ends every front. The hypervolume is that of
    ``column`` over measured latency as a share of the base's, from the base's latency and the
    worst score of all points.
    """
    worst = float(points[column].min())
    base = points[points["method"] == BASE].set_index("seed")
    rows = []
    for (method, seed), found in points[points["method"] != BASE].groupby(["method", "seed"]):
        if len(found) < len(shares):  # interrupted
            continue
        front = pd.concat([found, base.loc[[seed]].reset_index()])
        row = {"method": method, "seed": seed, "points": len(found)}
        for share in shares:
            for name in {column, *COLUMNS}:
                row[f"{name} {share:g}"] = interpolated(front, share, name)
        row["lost 0.5"] = float(base[column].to_dict()[seed]) - interpolated(front, 0.5, column)
        row["hypervolume"] = hypervolume(
            front["measured_share"].to_numpy(), front[column].to_numpy(), (1.0, worst)
        )
        row["samples"], row["seconds"] = found["samples"].max(), found["seconds"].max()
        rows.append(row)
    return pd.DataFrame(rows)


def markdown(rows: pd.DataFrame, shares: Sequence[float]) -> str:
    """Return one line a method, best hypervolume first: medians over seeds, and the range."""
    grouped = rows.groupby("method")
    order = grouped["hypervolume"].median().sort_values(ascending=False).index
    headers = ["method", "seeds"]
    headers += [f"δ1 at {share:g}x" for share in shares]
    headers += [f"RMSE at {share:g}x, m" for share in shares]
    headers += ["hypervolume", "training images", "search, s"]
    lines = [headers, ["---"] * len(headers)]
    for method in order:
        of = grouped.get_group(method)
        cells = [str(method), str(len(of))]
        for name in COLUMNS:
            cells += [_spread(of[f"{name} {share:g}"], 3) for share in shares]
        cells.append(_spread(of["hypervolume"], 4))
        cells += [f"{of['samples'].median():,.0f}", f"{of['seconds'].median():.0f}"]
        lines.append(cells)
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def single_networks(
    points: pd.DataFrame, methods: Sequence[str], ours: str = "netadapt-fast"
) -> str:
    """Return one line per method of one network, beside our front at the same measured latency."""
    lines = [["network", "seeds", "latency, share", "δ1", "RMSE, m", f"δ1 of {ours} there"]]
    lines.append(["---"] * len(lines[0]))
    for method in methods:
        found = points[points["method"] == method]
        if found.empty:
            continue
        there = [_ours_at(points, ours, row) for _, row in found.iterrows()]
        lines.append(
            [
                method,
                str(len(found)),
                _spread(found["measured_share"], 2),
                _spread(found["delta1"], 3),
                _spread(found["rmse"], 3),
                _spread(pd.Series(there), 3),
            ]
        )
    return "".join(f"| {' | '.join(line)} |\n" for line in lines) if len(lines) > 2 else ""


def _ours_at(points: pd.DataFrame, ours: str, row: pd.Series) -> float:
    """Return delta1 of our front of the row's seed at the row's latency."""
    of_seed = points[points["seed"] == row["seed"]]
    front = of_seed[of_seed["method"].isin([ours, BASE])]
    if len(front) < 2:
        return float("nan")
    return interpolated(front, float(row["measured_share"]), "delta1")


def _spread(values: pd.Series, digits: int) -> str:
    middle, low, high = values.median(), values.min(), values.max()
    text = f"{middle:.{digits}f}"
    return text if len(values) == 1 else f"{text} ({low:.{digits}f} to {high:.{digits}f})"


def bars(rows: pd.DataFrame, ours: str = "netadapt-fast", paper: str = "netadapt") -> list[str]:
    """Say of each bar by how much it is met or missed, in medians over seeds."""
    frame = rows.groupby("method").median(numeric_only=True)
    medians: dict[str, dict[str, float]] = {
        str(column): {str(method): float(value) for method, value in values.items()}
        for column, values in frame.items()
    }
    if ours not in frame.index:
        return []
    said = []
    for column in ("delta1 0.5", "delta1 0.33", "hypervolume"):
        others = {name: value for name, value in medians.get(column, {}).items() if name != ours}
        if not others:
            continue
        best = max(others, key=lambda name: others[name])
        ahead = medians[column][ours] - others[best]
        said.append(
            f"{column.replace('delta1', 'δ1 at')}: {ours} is "
            f"{abs(ahead):.4f} {'ahead of' if ahead >= 0 else 'behind'} the best other ({best})"
        )
    if paper in frame.index:
        share = medians["samples"][ours] / medians["samples"][paper]
        gained = medians["hypervolume"][ours] - medians["hypervolume"][paper]
        said.append(
            f"training images: {share:.3f} of {paper}'s, for a hypervolume {gained:+.4f} of its"
        )
    said.append(f"δ1 lost against the base at 0.5x: {medians['lost 0.5'][ours]:.4f}")
    return said


def plot(points: pd.DataFrame, column: str, label: str, file: Path) -> None:
    """Draw a panel a method, in the order of the table, as ``file``.png and .svg.

    Each has the method's median front with its range over seeds; behind it, those of all others,
    ``netadapt-fast``'s dashed.
    """
    hypervolumes = summarised(points, (), column).groupby("method")["hypervolume"].median()
    methods = hypervolumes.sort_values(ascending=False).index
    base = points[points["method"] == BASE].assign(share=1.0)
    fronts = {
        method: pd.concat([points[points["method"] == method], base]).groupby("share")
        for method in methods
    }
    height = -(-len(methods) // COLUMNS_OF_PANELS)
    figure = Figure(figsize=(style.WIDTH_INCHES * 1.25, 0.6 + 2.1 * height), layout="constrained")
    grid = figure.subplots(
        height, COLUMNS_OF_PANELS, sharex=True, sharey=True, squeeze=False
    ).ravel()
    for axes, method in zip(grid, methods, strict=False):
        style.tidy(axes)
        for other, rows in fronts.items():
            ours = other == "netadapt-fast"
            axes.plot(
                rows["measured_share"].median(),
                rows[column].median(),
                color="0.4" if ours else "0.85",
                linestyle="--" if ours else "-",
                linewidth=1,
            )
        rows = fronts[method]
        x, colour = rows["measured_share"].median(), style.SERIES_COLOURS[0]
        low, high = rows[column].min(), rows[column].max()
        axes.fill_between(x, low, high, color=colour, alpha=0.2, linewidth=0)
        axes.plot(x, rows[column].median(), color=colour, marker="o", markersize=4)
        axes.set_title(method, fontsize=style.SMALL)
        axes.tick_params(labelsize=style.SMALL)
    for axes in grid[len(methods) :]:
        axes.set_visible(False)
    figure.supxlabel(
        "measured latency, share of the base's (dashed: netadapt-fast)", fontsize=style.SMALL
    )
    figure.supylabel(label, fontsize=style.SMALL)
    for suffix in (".png", ".svg"):
        with replacing(file.with_suffix(suffix)) as temporary:
            figure.savefig(temporary, dpi=120, metadata={"Date": None} if suffix == ".svg" else {})


def write_tables(
    points: pd.DataFrame,
    shares: Sequence[float],
    notes: Sequence[str],
    file: Path,
    single: Sequence[str] = (),
) -> str:
    """Write ``file``.csv, .md, .png and .svg; return the text of the Markdown.

    Methods of ``single`` have one network and no front; they get a table of their own.
    """
    fronts = points[~points["method"].isin(single)]
    rows = summarised(fronts, shares, "delta1")
    text = "\n".join(notes) + "\n\n" + markdown(rows, shares)
    text += "\n" + "".join(f"- {line}\n" for line in bars(rows))
    alone = single_networks(points, single)
    text += f"\n{alone}" if alone else ""
    write_atomic(file.with_suffix(".csv"), points.to_csv(index=False, float_format="%.6g"))
    write_atomic(file.with_suffix(".md"), text)
    plot(fronts, "delta1", score_axis("delta1", "test split"), file)
    return text
