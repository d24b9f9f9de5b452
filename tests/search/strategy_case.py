"""A strategy at the first iteration of a search, without the loop around it."""

import shutil
from pathlib import Path

from netadapt.search.candidate import Proposal
from netadapt.search.evaluation import Evaluator, Job
from netadapt.search.journal import Started
from netadapt.search.networks import Networks
from netadapt.search.problem import Problem
from netadapt.search.settings import SearchSettings
from netadapt.search.state import SearchState
from netadapt.search.strategies.registry import load_strategy

WALKING = ("netadapt", "netadapt-fast", "uniform", "random", "magnitude", "taylor", "knapsack")


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
        return load_strategy(name)(problem, Networks(problem, self.folder))

    def _base(self):
        problem = self.problem
        base = Proposal(
            name="0",
            iteration=0,
            group="",
            widths=problem.prunable.widths,
            predicted_ms=problem.predictor({}),
        )
        job = Job(base, "base", "checkpoints/0.safetensors", 0)
        return Evaluator(problem, Networks(problem, self.folder))(job)
