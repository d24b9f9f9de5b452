"""The walk for a page: what each iteration proposed, what it went on with, and why."""

from typing import Any

from netadapt.report.events import Iteration, RunEvents
from netadapt.report.runs import RunView
from netadapt.report.scores import score_name


def walk_data(run: RunView, events: RunEvents | None) -> list[dict[str, Any]]:
    """Return one object per iteration: ``number``, ``target_ms``, ``proposals`` and ``picked``.

    ``waiting`` counts proposals without a score yet. A run without a journal gives what its table
    says.
    """
    iterations = events.iterations if events else _of_table(run)
    scored = events.scored if events else {name for one in iterations for name in one.proposals}
    return [
        {
            "number": one.number,
            "target_ms": one.target_ms,
            "proposals": list(one.proposals),
            "picked": one.picked,
            "waiting": len(set(one.proposals) - scored),
        }
        for one in iterations
    ]


def rule_of_selection(run: RunView) -> str:
    """Say which proposal of an iteration the walk goes on with."""
    settings = run.settings.everything
    strategy = run.strategy or "netadapt"
    best = "highest" if run.higher_is_better else "lowest"
    name = score_name(run.score)
    if strategy == "netadapt" and settings.get("select") == "ratio":
        return f"The pick loses the least {name} for what it saves of the budget."
    if strategy in ("netadapt", "random"):
        return f"The pick has the {best} {name} on the holdout of all that met the target."
    if strategy == "uniform":
        return "One network per iteration: every group loses the same share."
    return f"The pick is the strategy's own choice ({strategy})."


def _of_table(run: RunView) -> list[Iteration]:
    rows = run.candidates[run.candidates["stage"] == "short"]
    found = []
    for number, group in rows.groupby("iteration", sort=True):
        names = tuple(group["candidate"])
        picked = group.loc[group["selected"], "candidate"]
        found.append(
            Iteration(
                int(float(str(number))), None, names, None if picked.empty else picked.iloc[0]
            )
        )
    return found
