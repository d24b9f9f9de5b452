"""After the walk: which points go on, what the clock says of them, which one is the answer."""

from collections.abc import Sequence

import numpy as np

from netadapt.errors import UserError
from netadapt.profiling.measurement import measure_all
from netadapt.search.candidate import Candidate
from netadapt.search.goal import Goal
from netadapt.search.problem import Problem
from netadapt.search.run_folder import RunFolder
from netadapt.search.state import SearchState, best
from netadapt.training.checkpoint import load_checkpoint


def choose_points(points: Sequence[Candidate], count: int) -> tuple[str, ...]:
    """Choose of what a walk has found its base, its end, and points spread between them.

    Those are the nearest to ``count`` latencies evenly spaced from the base to the end. A
    short-term score is too noisy to leave any of them out: after the long-term fine-tune they
    are compared for good.

    Args:
        points: the base first, the end of the walk last.
        count: how many to choose besides the base.
    """
    base, end = points[0], points[-1]
    chosen = {base.name: base, end.name: end}
    for wanted in np.linspace(base.predicted_ms, end.predicted_ms, count + 1)[1:-1]:
        rest = [row for row in points if row.name not in chosen]
        if rest:
            nearest = min(rest, key=lambda row: abs(row.predicted_ms - wanted))
            chosen[nearest.name] = nearest
    return tuple(sorted(chosen, key=lambda name: -chosen[name].predicted_ms))


def ending(state: SearchState, goal: Goal, points: Sequence[Candidate]) -> str | None:
    """Say at which of ``points`` an accuracy ended the walk; ``None`` if budgets did."""
    if goal.minimum is None:
        return None
    end, last = points[-1], state.current
    said = f"stopped at {end.name}: {end.score:.4g} on the holdout, {goal.minimum:.4g} or better"
    if last is end:
        return f"{said}; no group can be made narrower"
    return f"{said}; {last.name}, the next, scored {last.score:.4g}"


def measure_points(
    problem: Problem, state: SearchState, folder: RunFolder
) -> dict[str, float] | None:
    """Measure the chosen points in interleaved rounds; ``None`` if the target is not attached.

    Returns:
        ``{name: p50 in ms}``.
    """
    if problem.not_attached:
        return None
    models = [
        load_checkpoint(folder.path / state.candidates[name].checkpoint) for name in state.chosen
    ]
    stats = measure_all(
        models, problem.example_input, problem.table.target, traced=problem.prunable
    )
    return {name: stat.p50_ms for name, stat in zip(state.chosen, stats, strict=True)}


def pick_final(state: SearchState, goal: Goal) -> str:
    """Return the answer among the chosen points, after their long-term fine-tune.

    With budgets it is the best holdout score within all of them; the clock decides on the
    latency or, without one, the prediction. With a minimal accuracy it is the fastest point that
    keeps it; one whose long-term fine-tune lost it stands as the walk left it.
    """
    tuned = [state.candidates[f"{name}-long"] for name in state.chosen]
    if goal.minimum is not None:
        left = [state.candidates[name] for name in state.chosen]
        kept = [row for row in (*tuned, *left) if goal.accurate(row.score)]
        return min(kept, key=lambda row: state.costs(row)["ms"]).name
    within = [row for row in tuned if row.score is not None and goal.met(state.costs(row))]
    if not within:
        raise UserError(
            "the long-term fine-tune of every point within the budget failed; try a lower --long-lr"
        )
    return best(state, within).name
