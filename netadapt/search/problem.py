"""What a search works on, opened from its settings."""

import shlex
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from torch import nn

from netadapt.errors import UserError
from netadapt.latency.predictor import LatencyPredictor
from netadapt.latency.table import LatencyTable
from netadapt.profiling.design import LOWEST_SHARE
from netadapt.search.base_network import BaseNetwork
from netadapt.search.clock import Clock
from netadapt.search.costs import Costs
from netadapt.search.goal import Goal, Kind
from netadapt.search.proposals import WidthGrid
from netadapt.search.settings import SearchSettings
from netadapt.search.space import Space

UNITS: dict[Kind, str] = {
    "ms": "ms", "mj": "mJ", "macs": "MACs", "params": "parameters", "mb": "MB"
}  # fmt: skip
MEASURED: tuple[Kind, ...] = ("ms", "mj")  # on the target, not counted
SLACK = 1.25  # predictions may be this far off where the clock decides


class BudgetOutOfReachError(UserError):
    """Not even the narrowest network is within the budget."""


@dataclass
class Problem:
    """Opens the parts of a search: the base network, the space of widths, and the clock.

    Attributes:
        settings: what was asked for.
        weights: where the weights start: a checkpoint, what the settings name, or the network.
    """

    settings: SearchSettings
    weights: nn.Module | Path | str

    @cached_property
    def table(self) -> LatencyTable:
        """The latency table of the target."""
        return LatencyTable.load(self.settings.lut)

    @cached_property
    def base(self) -> BaseNetwork:
        """The network to prune, and its task."""
        target = self.table.target
        return BaseNetwork(self.settings, self.weights, target.batch, target.precision)

    @cached_property
    def space(self) -> Space:
        """The widths that the search may choose from, and their costs."""
        prunable, settings = self.base.prunable, self.settings
        grid = WidthGrid.of(prunable, settings.channel_multiple, settings.lowest_share)
        return Space(grid, Costs(prunable, LatencyPredictor(prunable, self.table)))

    @cached_property
    def clock(self) -> Clock:
        """Measures networks, where the target is this machine or can be reached."""
        return Clock(self.base, self.table.target, self.space.cost("ms", {}))

    @property
    def reported(self) -> tuple[str, ...]:
        """Scores on the test split to report beside the one that counts."""
        asked = self.settings.metrics
        return self.base.task.reported if asked is None else asked

    def goal(self, base_ms: float | None = None) -> Goal:
        """Return where the walk ends, for a base that takes ``base_ms``: by the table if None."""
        if base_ms is None:
            base_ms = self.space.cost("ms", {})
        return self.settings.goal(base_ms, self.base.task.higher_is_better)

    def check(self) -> None:
        """Raise a ``UserError`` for what could only fail later: network, scores, the budget."""
        self.base.task.check(self.base.model)
        if not self.base.prunable.groups:
            raise UserError("no layer of the network can be pruned; netadapt info says why")
        if self.settings.blocks and not self.base.prunable.blocks:
            raise UserError(
                "--blocks: the network has no block that could be dropped: none answers with as "
                "many channels and pixels as it reads; leave --blocks out"
            )
        known = self.base.task.metrics
        unknown = [name for name in self.reported if name not in known]
        if unknown:
            raise UserError(f"unknown metric {unknown[0]!r}; known: {', '.join(known)}")
        precision, runtime = self.table.target.precision, self.table.target.runtime
        if precision == "int8" and runtime not in ("onnxruntime", "openvino"):
            raise UserError(
                f"a search can score int8 files of onnxruntime and openvino, not of {runtime}; "
                "give it an int8 table of one of these"
            )
        if self.settings.qat and precision != "int8":
            raise UserError(f"--qat is for int8 tables; {self.settings.lut} is {precision}")
        self._check_widths()

    def _check_widths(self) -> None:
        settings, costs = self.settings, self.space.costs
        limits = (
            f"--lowest-share {settings.lowest_share:g} and "
            f"--channel-multiple {settings.channel_multiple}"
        )
        narrowest = self.space.grid.narrowest()
        costs.predict_ms({})
        try:
            costs.predict_ms(self.space.grid.narrowest(with_blocks=True))
        except UserError as error:
            reason = str(error).partition("; run:")[0]
            raise UserError(
                f"{limits} allow widths that were not measured: {reason}; {self._ways_out()}"
            ) from error
        for block in self.space.grid.ties:
            try:
                costs.predict_ms({block: 0})
            except UserError as error:
                raise UserError(
                    f"--blocks: without block {block} there is {error}; or keep it: --lock {block}"
                ) from error
        if settings.min_accuracy is not None:
            return
        for kind, budget in self.goal().limits.items():
            least = self.space.cost(kind, narrowest)
            clocked = kind in MEASURED and not self.clock.not_attached
            if least > budget * (SLACK if clocked else 1):
                raise BudgetOutOfReachError(
                    f"budget {budget:.6g} {UNITS[kind]} cannot be met: at the smallest widths that "
                    f"{limits} allow the network takes {least:.3g} {UNITS[kind]}"
                )

    def _ways_out(self) -> str:
        """What measures the widths that are allowed, and what allows only those measured."""
        settings = self.settings
        locks = "".join(f" --lock {shlex.quote(pattern)}" for pattern in settings.lock)
        multiple, share = settings.channel_multiple, settings.lowest_share
        ways = []
        if share >= LOWEST_SHARE:
            command = self.space.costs.predictor.profile_command()
            ways.append(f"measure them: {command} --channel-multiple {multiple}{locks}")
        coarser = (factor * multiple for factor in range(2, 65))
        wider = (round(step / 20, 2) for step in range(3, 20))
        larger = next((n for n in coarser if self._is_measured(n, share)), None)
        higher = next((s for s in wider if s > share and self._is_measured(multiple, s)), None)
        enough = [f"--channel-multiple {larger}"] if larger else []
        enough += [f"--lowest-share {higher:g}"] if higher else []
        if enough:
            ways.append(f"search only what is measured: {' or '.join(enough)}")
        return "; or ".join(ways) or "profile the network anew"

    def _is_measured(self, multiple: int, lowest_share: float) -> bool:
        grid = replace(self.space.grid, multiple=multiple, lowest_share=lowest_share)
        row = self.base.prunable.vector(grid.narrowest(with_blocks=True))[None]
        return bool(np.isfinite(self.space.costs.batch("ms", row)).all())
