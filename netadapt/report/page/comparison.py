"""Several runs side by side: hypervolumes with the spread of their seeds."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from netadapt.report.front import reference_point
from netadapt.report.runs import RunView
from netadapt.search.front import hypervolume

_SEED = {"seed", "format"}


def comparison_data(runs: Sequence[RunView]) -> dict[str, Any] | None:
    """Return each run's hypervolume and, of runs that differ in the seed alone, their spread.

    All are measured from one reference point: the slowest latency and the worst score of any front
    or base. ``None`` for a single run.
    """
    if len(runs) < 2:
        return None
    reference = reference_point(runs)
    volumes = [
        hypervolume(run.front["latency_ms"], run.gains(run.front), reference) for run in runs
    ]
    members: dict[str, list[int]] = {}
    for place, run in enumerate(runs):
        members.setdefault(_alike(run.settings.everything) or f"run {place}", []).append(place)
    return {
        "reference_ms": reference[0],
        "reference_score": reference[1] if runs[0].higher_is_better else -reference[1],
        "hypervolumes": volumes,
        "seeds": [
            {
                "runs": places,
                "label": runs[places[0]].strategy or runs[places[0]].name,
                "mean": float(np.mean([volumes[place] for place in places])),
                "low": min(volumes[place] for place in places),
                "high": max(volumes[place] for place in places),
            }
            for places in members.values()
            if len(places) > 1
        ],
    }


def _alike(settings: Mapping[str, Any]) -> str:
    """Return what runs with different seeds have in common; empty if unknown."""
    return repr(
        sorted((name, repr(v)) for name, v in settings.items() if name not in _SEED)
    ) * bool(settings)
