"""Random widths: how much of a result comes from choosing well."""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np

from netadapt.pruning import Widths
from netadapt.search.goal import Limits
from netadapt.search.proposals import narrowed_until
from netadapt.search.saliency import Criterion
from netadapt.search.seeds import derive_seed
from netadapt.search.state import SearchState
from netadapt.search.strategies.base import Strategy


class RandomStrategy(Strategy):
    """Several random networks per iteration, the best of which is kept.

    Each group of a candidate is narrowed at a random rate of its own, uniform between 0 and
    all it has in the same time, until the limits are met.
    """

    channel_order: ClassVar[Criterion] = "share"

    def propose(self, state: SearchState, limits: Limits) -> Mapping[str, Widths]:
        """Draw ``candidates`` networks; of equal ones the first counts."""
        grid, costs, widths = self.space.grid, self.space.costs, state.current.widths
        found: dict[str, Widths] = {}
        for index in range(self.settings.candidates):
            seed = derive_seed(self.settings.seed, state.iteration, f"random {index}")
            steps = self._steps(state, np.random.default_rng(seed))
            narrower = narrowed_until(widths, steps, grid, costs, limits)
            if narrower is not None and narrower not in found.values():
                found[f"random.{index}"] = narrower
        return found

    def _steps(self, state: SearchState, random: np.random.Generator) -> list[str]:
        """Return which group to narrow at each step: its n-th of N comes at n / N / rate."""
        grid = self.space.grid
        due = []
        for group in grid.full:
            rate = 1.0 - random.random()  # above 0
            count = len(grid.below(group, state.current.widths[group]))
            due += [((step + 1) / count / rate, group) for step in range(count)]
        return [group for _, group in sorted(due, key=lambda item: item[0])]
