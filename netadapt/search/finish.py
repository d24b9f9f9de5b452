"""After the walk: which points go on, what the clock says of them, which one is the answer."""

import numpy as np

from netadapt.errors import UserError
from netadapt.latency.measurement import measure_all
from netadapt.search.problem import Problem
from netadapt.search.run_folder import RunFolder
from netadapt.search.state import SearchState, best
from netadapt.training.checkpoint import load_checkpoint


def choose_points(state: SearchState, count: int) -> tuple[str, ...]:
    """Choose the base, the end of the walk, and iterations' picks spread between them.

    The picks are those nearest to ``count`` latencies evenly spaced from the base to the end of
    the walk. A short-term score is too noisy to leave any of them out: after the long-term
    fine-tune they are compared for good.
    """
    walk = [state.candidates[name] for name in state.walk]
    base, end = walk[0], walk[-1]
    chosen = {base.name: base, end.name: end}
    for wanted in np.linspace(base.predicted_ms, end.predicted_ms, count + 1)[1:-1]:
        rest = [row for row in walk if row.name not in chosen]
        if rest:
            nearest = min(rest, key=lambda row: abs(row.predicted_ms - wanted))
            chosen[nearest.name] = nearest
    return tuple(sorted(chosen, key=lambda name: -chosen[name].predicted_ms))


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


def pick_final(state: SearchState, budget_ms: float) -> str:
    """Return the long-tuned point of the best holdout score within the budget.

    The clock decides what is within it; without one, the prediction does.
    """
    within = []
    for name in state.chosen:
        row = state.candidates[f"{name}-long"]
        latency = state.latency_ms(row)
        if (
            row.score is not None
            and (row.predicted_ms if latency is None else latency) <= budget_ms
        ):
            within.append(row)
    if not within:
        raise UserError(
            "the long-term fine-tune of every point within the budget failed; try a lower --long-lr"
        )
    return best(state, within).name
