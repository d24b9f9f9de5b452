"""One ranking of all channels of all groups, as Torch-Pruning's global pruning has it."""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from netadapt.pruning import Widths
from netadapt.search.goal import Limits
from netadapt.search.proposals import WidthGrid, narrowed_until
from netadapt.search.saliency import Criterion
from netadapt.search.state import SearchState
from netadapt.search.strategies.base import Strategy


class RankingStrategy(Strategy):
    """The channels that matter least go first, whichever group they belong to."""

    def propose(self, state: SearchState, limits: Limits) -> Mapping[str, Widths]:
        """Remove the lowest channels of the current network until the limits are met."""
        grid, widths = self.space.grid, state.current.widths
        steps = ranked_steps(self.scores(state), widths, grid)
        narrower = narrowed_until(widths, steps, grid, self.space.costs, limits)
        return {} if narrower is None else {self.channel_order: narrower}


class MagnitudeStrategy(RankingStrategy):
    """By the squared weights of the group's layers."""

    channel_order: ClassVar[Criterion] = "magnitude"
    group_value: ClassVar[Criterion | None] = "magnitude"


class TaylorStrategy(RankingStrategy):
    """By weights times gradients over a few training batches.

    Source: Molchanov et al., Importance Estimation for Neural Network Pruning, CVPR 2019.
    """

    channel_order: ClassVar[Criterion] = "taylor"
    group_value: ClassVar[Criterion | None] = "taylor"


def ranked_steps(
    scores: Mapping[str, NDArray[np.float64]], widths: Mapping[str, int], grid: WidthGrid
) -> list[str]:
    """Return the group to narrow at each step so that the lowest channels go first.

    Scores are divided by their group's mean, as Torch-Pruning does by default. A group is
    narrowed by a step of the grid when the last of the channels that go in it is due.
    """
    due = []
    for group in grid.full:
        ascending = np.sort(scores[group] / max(float(scores[group].mean()), 1e-30))
        for width in grid.below(group, widths[group]):
            due.append((float(ascending[widths[group] - width - 1]), group))
    return [group for _, group in sorted(due, key=lambda item: item[0])]
