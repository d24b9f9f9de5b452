"""One candidate per iteration, cut by saliency in all groups at once, and taught by the base."""

from collections.abc import Mapping
from typing import ClassVar

from netadapt.pruning import Widths
from netadapt.search.goal import Limits
from netadapt.search.saliency import Criterion
from netadapt.search.state import SearchState
from netadapt.search.strategies.base import Strategy
from netadapt.search.strategies.knapsack import Choice, solve_within


class FastStrategy(Strategy):
    """The widths that keep the most Fisher importance; both fine-tunes learn from the base too.

    Which channels of a group go is not left to that importance: summed over many channels it is
    reliable, but a channel's own value, from a few batches, is mostly noise. Steps are twice the
    paper's, since many groups share each.
    """

    channel_order: ClassVar[Criterion] = "share"
    group_value: ClassVar[Criterion | None] = "fisher"
    distils: ClassVar[bool] = True
    stride: ClassVar[float] = 2.0
    drops_blocks: ClassVar[bool] = True

    def propose(self, state: SearchState, limits: Limits) -> Mapping[str, Widths]:
        """Solve the knapsack of the current network's saliencies."""
        choice = Choice.of(self.scores(state), state.current.widths, self.space.grid)
        found = solve_within(choice, self.space.costs, limits)
        return {} if found is None else {"fast": choice.network(found)}
