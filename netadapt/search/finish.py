"""After the walk: which points are chosen, and which one is the answer."""

from collections.abc import Sequence

import numpy as np

from netadapt.errors import UserError
from netadapt.search.candidate import LONG, QAT, Candidate
from netadapt.search.goal import Goal
from netadapt.search.problem import UNITS
from netadapt.search.state import SearchState, best

DRIFT = 0.03  # of the base's latency, below which it is not reported


def choose_points(state: SearchState, points: Sequence[Candidate], count: int) -> tuple[str, ...]:
    """Choose the base, the end of the walk, and points spread between them.

    Those are the nearest to ``count`` latencies evenly spaced from the base to the end. A
    short-term score is too noisy to leave any of them out: after the long-term fine-tune they
    are compared for good.

    Args:
        state: of the search.
        points: what the walk has found, the base first, the end last.
        count: how many to choose besides the base.
    """
    base, end = points[0], points[-1]
    ms = {row.name: state.latency(row).ms for row in points}
    chosen = {base.name, end.name}
    for wanted in np.linspace(ms[base.name], ms[end.name], count + 1)[1:-1]:
        rest = [row.name for row in points if row.name not in chosen]
        if rest:
            chosen.add(min(rest, key=lambda name: abs(ms[name] - wanted)))
    return tuple(row.name for row in sorted(points, key=lambda row: -ms[row.name])
                 if row.name in chosen)  # fmt: skip


def pick_final(state: SearchState, goal: Goal) -> str:
    """Return the answer among the chosen points, after their long-term fine-tune.

    With budgets it is the best holdout score within all of them; the clock decides on the
    latency or, without one, the prediction. With a minimal accuracy it is the fastest point that
    keeps it; a point that lost it by its long-term fine-tune counts as the walk left it.
    """
    ends = (LONG, LONG + QAT)
    named = [name + end for end in ends for name in state.chosen if name + end in state.candidates]
    tuned = [state.candidates[name] for name in named]
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


def why_ended(state: SearchState, goal: Goal, end: Candidate) -> str:
    """Return why the walk ended at ``end``, in words."""
    if goal.minimum is None:
        return f"within the budget: {shown(state, goal, state.current)}"
    kept = f"stopped at {end.name}: {end.score:.4g} on the holdout, {goal.minimum:.4g} or better"
    if state.current is end:
        return f"{kept}; no group can be made narrower"
    return f"{kept}; {state.current.name}, the next, scored {state.current.score:.4g}"


def already_met(state: SearchState, goal: Goal) -> str:
    """Return by how much the base network is within the budgets, in words."""
    spare = 100 * (1 - goal.load(state.costs(state.base)))
    return (
        f"the base network is within the budget already, by {spare:.1f} %: "
        f"{shown(state, goal, state.base)}; there is nothing to search for"
    )


def drift(state: SearchState) -> tuple[str, ...]:
    """Return the base's latency at the start and end in words, if it changed by more than 3 %."""
    start, end = state.first_base_ms, state.base_ms
    if start is None or end is None or abs(end / start - 1) <= DRIFT:
        return ()
    change = f"{100 * abs(end / start - 1):.1f} % {'slower' if end > start else 'faster'}"
    return (
        f"the machine's speed changed: the base network took {start:.3g} ms at the start and "
        f"{end:.3g} ms at the end ({change}); measured latencies are those at the end",
    )


def shown(state: SearchState, goal: Goal, candidate: Candidate) -> str:
    """Return the costs of ``candidate`` beside their limits, in words."""
    costs = state.costs(candidate)
    return ", ".join(
        f"{costs[kind]:.3g} of {limit:.3g} {UNITS[kind]}" for kind, limit in goal.limits.items()
    )
