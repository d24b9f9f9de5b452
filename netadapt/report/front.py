"""The front: accuracy against latency, one run in detail or several side by side."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from netadapt.errors import UserError
from netadapt.report import style
from netadapt.report.runs import RunView
from netadapt.report.scores import score_axis, score_name
from netadapt.report.several import Joint
from netadapt.search.front import hypervolume


def plot_front(runs: Sequence[RunView], joint: Joint | None = None) -> Figure:
    """Draw the front of one run with all its candidates, or the fronts of several overlaid.

    Latency is in ms, the score is that of the holdout. Several runs carry their hypervolume
    in the legend, all measured from the one reference point that the legend names.

    Args:
        runs: to draw.
        joint: the front over the input sizes of ``runs``, if that is what they are.

    Raises:
        UserError: the runs differ in the score that counts.
    """
    for run in runs[1:]:
        if (run.score, run.higher_is_better) != (runs[0].score, runs[0].higher_is_better):
            raise UserError(
                f"{runs[0].path} scores by {runs[0].score} and {run.path} by {run.score}; "
                "plot runs of one score together"
            )
    figure = Figure(figsize=(style.WIDTH_INCHES, 5.6), layout="constrained")
    axes = figure.add_subplot()
    style.tidy(axes)
    axes.set_ylabel(score_axis(runs[0].score, "holdout"))
    if len(runs) == 1:
        columns, title = 2, _draw_run(axes, runs[0])
    else:
        columns, title = 1, _draw_runs(axes, runs, joint)
    figure.legend(
        loc="outside lower center",
        ncols=columns,
        title=title,
        frameon=False,
        fontsize=style.SMALL,
        title_fontsize=style.SMALL,
    )
    return figure


def _draw_run(axes: Axes, run: RunView) -> str | None:
    """Draw one run and return the legend's title, which gives the scores on the test split."""
    axes.set_xlabel(f"latency on {style.shortened(run.target, 60)}, ms")
    axes.set_title(f"{style.shortened(run.name, 40)}: front, {run.goal}", pad=22)
    _draw_candidates(axes, run)
    axes.plot(
        run.front["latency_ms"],
        run.front[run.holdout],
        drawstyle="steps-post",
        color=style.BLUE,
        marker="o",
        markersize=4,
        label="front, latency " + ("anchored or measured" if run.anchored else "predicted"),
    )
    _draw_base(axes, run, style.BLACK, "base network")
    _draw_measured(axes, run)
    if run.budget_ms is not None:
        _draw_budget(axes, run.budget_ms)
    return _test_note(run)


def _draw_candidates(axes: Axes, run: RunView) -> None:
    """Draw the dominated candidates; those far worse are counted, not shown."""
    dominated = run.candidates[
        ~run.candidates["candidate"].isin(run.front["candidate"])
        & (run.candidates["stage"] != "base")
        & run.candidates[run.holdout].notna()
    ]
    if dominated.empty:
        return
    shown = pd.concat([run.front, run.measured, run.base.to_frame().T])
    gains = run.gains(shown)
    lowest, highest = np.nanmin(gains), np.nanmax(gains)
    seen = run.gains(dominated) >= lowest - max(highest - lowest, 1e-3)
    label = "dominated candidate"
    if not seen.all():
        label += f" ({np.sum(~seen)} worse not shown)"
    axes.scatter(
        dominated.loc[seen, "latency_ms"],
        dominated.loc[seen, run.holdout],
        s=12,
        color=style.GREY,
        linewidths=0,
        label=label,
    )


def _draw_base(axes: Axes, run: RunView, colour: str, label: str | None) -> None:
    """Draw the base as an open star, so that a point of the front at its place is seen."""
    axes.plot(
        run.base["latency_ms"],
        run.base[run.holdout],
        linestyle="none",
        marker="*",
        markersize=17,
        markerfacecolor="none",
        markeredgecolor=colour,
        markeredgewidth=1.4,
        zorder=4,
        label=label,
    )


def _draw_measured(axes: Axes, run: RunView) -> None:
    """Join each timed network's predicted latency to the measured one."""
    timed = run.measured
    if timed.empty:
        return
    axes.hlines(
        timed[run.holdout],
        timed["predicted_ms"],
        timed["measured_ms"],
        color=style.VERMILION,
        linewidth=1.2,
        zorder=2.5,
    )
    long_tuned = timed[timed["stage"] == "long"]
    if not long_tuned.empty:
        axes.plot(
            long_tuned["predicted_ms"],
            long_tuned[run.holdout],
            linestyle="none",
            marker="o",
            markersize=8,
            markerfacecolor="none",
            markeredgecolor=style.VERMILION,
            zorder=3,
            label="fine-tuned long, latency predicted",
        )
    axes.plot(
        timed["measured_ms"],
        timed[run.holdout],
        linestyle="none",
        marker="D",
        markersize=6,
        color=style.VERMILION,
        zorder=3.5,
        label="latency measured",
    )


def _draw_budget(axes: Axes, budget_ms: float) -> None:
    axes.axvline(budget_ms, color=style.INK, linestyle=(0, (4, 3)), linewidth=1.1, zorder=1.5)
    axes.annotate(
        f"budget {budget_ms:.4g} ms",
        xy=(budget_ms, 1.0),
        xycoords=("data", "axes fraction"),
        xytext=(0, 4),
        textcoords="offset points",
        ha="center",
        fontsize=style.SMALL,
        color=style.INK,
    )


def _test_note(run: RunView) -> str | None:
    """Return the test scores of the base and of the network chosen for the budget, in words."""
    if run.test not in run.candidates.columns:
        return None
    found = [
        f"{name} {row[run.test]:.3f}"
        for name, row in (
            ("base", run.base),
            ("base fine-tuned long", run.base_tuned_long),
            ("within budget", run.chosen),
        )
        if row is not None and not np.isnan(row[run.test])
    ]
    return f"{score_axis(run.score, 'test split')}: {', '.join(found)}" if found else None


def _draw_runs(axes: Axes, runs: Sequence[RunView], joint: Joint | None) -> str:
    """Overlay the fronts and return the legend's title, which states the reference point."""
    targets = list(dict.fromkeys(run.target for run in runs))
    goals = list(dict.fromkeys(run.goal for run in runs))
    kind = "latency" if any(run.anchored for run in runs) else "predicted latency"
    axes.set_xlabel(
        f"{kind} on {style.shortened(targets[0], 60)}, ms"
        if len(targets) == 1
        else f"{kind}, each run on its own target, ms"
    )
    reference = reference_point(runs)
    names = [run.name for run in runs]
    for index, run in enumerate(runs):
        colour = style.SERIES_COLOURS[index % len(style.SERIES_COLOURS)]
        volume = hypervolume(run.front["latency_ms"], run.gains(run.front), reference)
        name = run.name if names.count(run.name) == 1 else str(run.path)
        label = style.shortened(name, 40) + (f" ({run.strategy})" if run.strategy else "")
        label += f": hypervolume {volume:.4g}"
        label += f", {run.goal}" if len(goals) > 1 else ""
        label += f", on {style.shortened(run.target, 40)}" if len(targets) > 1 else ""
        axes.plot(
            run.front["latency_ms"],
            run.front[run.holdout],
            drawstyle="steps-post",
            color=colour,
            linestyle=style.SERIES_LINES[index % len(style.SERIES_LINES)],
            marker=style.SERIES_MARKERS[index % len(style.SERIES_MARKERS)],
            markersize=max(9.0 - 1.5 * index, 4.5),  # of equal points each can be seen
            label=label,
            zorder=3 + 0.01 * index,
        )
        _draw_base(axes, run, colour, None)
    axes.plot(
        [], [], "*", markerfacecolor="none", markeredgecolor=style.INK, markersize=13,
        label="base network",
    )  # fmt: skip
    title = f"Fronts of {len(runs)} runs"
    if joint is not None:
        title = f"{style.shortened(joint.name, 40)}: one front, {runs[0].goal}"
        _draw_joint(axes, runs, joint)
    axes.set_title(title, pad=22)
    if len(goals) == 1 and runs[0].budget_ms is not None:
        _draw_budget(axes, runs[0].budget_ms)
    worst = reference[1] if runs[0].higher_is_better else -reference[1]
    name = score_name(runs[0].score)
    return f"hypervolume: reference point {reference[0]:.4g} ms, {name} {worst:.4g}"


def _draw_joint(axes: Axes, runs: Sequence[RunView], joint: Joint) -> None:
    """Draw the one front as a band behind those of its runs, and ring the answer."""
    rows = [_row(runs, point) for point in joint.points]
    axes.plot(
        [row["latency_ms"] for row in rows],
        [row[runs[0].holdout] for row in rows],
        drawstyle="steps-post",
        color=style.BAND,
        linewidth=9,
        zorder=1.8,
        label="front over all input sizes",
    )
    if joint.answer is None:
        return
    answer = _row(runs, joint.answer)
    axes.plot(
        answer["latency_ms"],
        answer[runs[0].holdout],
        linestyle="none",
        marker="o",
        markersize=17,
        markerfacecolor="none",
        markeredgecolor=style.INK,
        markeredgewidth=1.6,
        zorder=4.5,
        label=f"answer, at {runs[joint.answer[0]].name}",
    )


def _row(runs: Sequence[RunView], point: tuple[int, str]) -> "pd.Series[float]":
    place, name = point
    rows = runs[place].candidates
    return rows[rows["candidate"] == name].iloc[0]


def reference_point(runs: Sequence[RunView]) -> tuple[float, float]:
    """Return the slowest latency and the worst score of any front or base here, as a gain."""
    rows = [pd.concat([run.front, run.base.to_frame().T]) for run in runs]
    slowest = max(float(row["latency_ms"].max()) for row in rows)
    worst = min(float(np.nanmin(run.gains(row))) for run, row in zip(runs, rows, strict=True))
    return slowest, worst
