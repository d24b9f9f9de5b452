"""A strategy at the first iteration of a search, without the loop around it."""

import shutil
from pathlib import Path
from typing import Any

from netadapt.options import foreign
from netadapt.search.candidate import Proposal
from netadapt.search.evaluation import Evaluator, Job
from netadapt.search.journal import Started
from netadapt.search.networks import Networks
from netadapt.search.problem import Problem
from netadapt.search.settings import SearchSettings
from netadapt.search.state import SearchState
from netadapt.search.strategies.registry import load_strategy

WALKING = ("netadapt", "netadapt-fast", "uniform", "random", "magnitude", "taylor", "knapsack")


def taken(strategy: str, **options: object) -> dict[str, Any]:
    """Leave out of ``options`` what only other strategies take."""
    others = {option.name for option in foreign(SearchSettings, "strategy", strategy)}
    return {name: value for name, value in options.items() if name not in others}


class Case:
    """One problem, and any strategy on it."""

    def __init__(self, arguments: dict, folder: Path) -> None:
        self.arguments = arguments | {"saliency_batches": 2, "recalibration_batches": 2}
        self.folder = folder
        (folder / "checkpoints").mkdir()
        shutil.copy(arguments["model"], folder / "checkpoints/0.safetensors")
        self.problem = self.problem_with()
        self.state = SearchState(higher_is_better=True).replay([Started(base=self._base())])

    def problem_with(self, **changes) -> Problem:
        settings = SearchSettings.parse(self.arguments | changes)
        return Problem(settings, self.folder / "checkpoints/0.safetensors")

    def strategy(self, name: str, **changes):
        problem = self.problem_with(strategy=name, **changes) if changes else self.problem
        networks = Networks(problem.base, self.folder)
        return load_strategy(name)(problem.settings, problem.space, networks)

    @property
    def base_ms(self):
        return self.problem.space.cost("ms", {})

    def _base(self):
        base, space = self.problem.base, self.problem.space
        proposal = Proposal(
            name="0",
            iteration=0,
            group="",
            widths=base.prunable.widths,
            predicted_ms=self.base_ms,
        )
        job = Job(proposal, "base", "checkpoints/0.safetensors", 0)
        outcome = Evaluator(base, Networks(base, self.folder))(job)
        macs, params = (int(space.cost(kind, {})) for kind in ("macs", "params"))
        return outcome.candidate(job, {"macs": macs, "params": params})
