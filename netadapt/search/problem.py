"""What a search works on: the base network traced, its task, its table."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor, nn

from netadapt.errors import UserError
from netadapt.latency.predictor import LatencyPredictor
from netadapt.latency.table import LatencyTable
from netadapt.models import ModelSpec
from netadapt.profiling.measurement import why_not_attached
from netadapt.pruning import PrunableModel, trace
from netadapt.search.costs import Costs
from netadapt.search.goal import Goal, Kind
from netadapt.search.proposals import WidthGrid
from netadapt.search.settings import SearchSettings
from netadapt.training.checkpoint import load_model
from netadapt.training.recipes import recipe_for
from netadapt.training.task import Task
from netadapt.training.tasks import open_task

NO_BUDGET = 1e-6  # the load to walk to where an accuracy ends the walk: none is so small
UNITS: dict[Kind, str] = {"ms": "ms", "macs": "MACs", "params": "parameters", "mb": "MB"}


@dataclass
class Problem:
    """Built once a process from the settings; ``base`` is where the weights start."""

    settings: SearchSettings
    base: Path | str

    @cached_property
    def model(self) -> nn.Module:
        """The base network, in eval mode."""
        return load_model(str(self.base)).eval()

    @cached_property
    def input_size(self) -> tuple[int, int]:
        """``(height, width)`` of the task's inputs."""
        return self.task.input_size

    @cached_property
    def example_input(self) -> Tensor:
        """``(N, C, H, W)`` with N the target's batch."""
        random = torch.Generator().manual_seed(0)
        return torch.rand((self.table.target.batch, *self.task.input_shape), generator=random)

    @cached_property
    def task(self) -> Task:
        """Data, loss and scores; inputs are as large as asked for, or as the checkpoint says."""
        settings, spec = self.settings, self.model.spec
        assert isinstance(spec, ModelSpec)
        recipe = recipe_for(spec.name, settings.task)
        size = settings.input_size or spec.input_size
        options = {**recipe.task_options, **settings.task_options}
        return open_task(recipe.task, settings.data, size, options)

    @property
    def reported(self) -> tuple[str, ...]:
        """Scores on the test split to report beside the one that counts."""
        asked = self.settings.metrics
        return self.task.reported if asked is None else asked

    @cached_property
    def table(self) -> LatencyTable:
        """The latency table of the target."""
        return LatencyTable.load(self.settings.lut)

    @cached_property
    def prunable(self) -> PrunableModel:
        """The base network, traced."""
        return trace(self.model, self.example_input)

    @cached_property
    def predictor(self) -> LatencyPredictor:
        """Widths to ms."""
        return LatencyPredictor(self.prunable, self.table)

    @cached_property
    def costs(self) -> Costs:
        """Widths to all that there can be a budget for."""
        return Costs(self.prunable, self.predictor)

    @cached_property
    def grid(self) -> WidthGrid:
        """The widths that the search may choose from."""
        settings = self.settings
        steps = {name: group.step for name, group in self.prunable.groups.items()}
        return WidthGrid(
            self.prunable.widths, settings.channel_multiple, settings.lowest_share, steps
        )

    @cached_property
    def not_attached(self) -> str | None:
        """What keeps the clock from being asked, or ``None`` if the target is this machine."""
        return why_not_attached(self.table.target)

    def goal(self, predicted_budget_ms: float | None = None) -> Goal:
        """Where the walk ends; ``predicted_budget_ms`` is the latency that the clock asks for."""
        settings = self.settings
        higher = self.task.higher_is_better
        if settings.min_accuracy is not None:
            base_ms = self.predictor({})
            return Goal({"ms": base_ms}, NO_BUDGET, settings.min_accuracy, higher)
        budgets = settings.budgets
        if predicted_budget_ms is not None:
            budgets["ms"] = predicted_budget_ms
        return Goal(budgets, higher_is_better=higher)

    def check(self) -> None:
        """Raise a ``UserError`` for what could only fail later: network, scores, the budget."""
        self.task.check(self.model)
        if not self.prunable.groups:
            raise UserError("no layer of the network can be pruned; netadapt info says why")
        known = self.task.metrics
        unknown = [name for name in self.reported if name not in known]
        if unknown:
            raise UserError(f"unknown metric {unknown[0]!r}; known: {', '.join(known)}")
        settings = self.settings
        limits = (
            f"--lowest-share {settings.lowest_share:g} and "
            f"--channel-multiple {settings.channel_multiple}"
        )
        self.predictor({})
        try:
            self.predictor(self.grid.narrowest())
        except UserError as error:
            raise UserError(
                f"{limits} allow widths that were not measured; give larger ones: {error}"
            ) from error
        narrowest = self.prunable.vector(self.grid.narrowest())[None]
        for kind, budget in settings.budgets.items():
            least = float(self.costs.batch(kind, narrowest)[0])
            if least > budget:
                raise UserError(
                    f"budget {budget:g} {UNITS[kind]} cannot be met: at the smallest widths that "
                    f"{limits} allow the network takes {least:.3g} {UNITS[kind]}"
                )
