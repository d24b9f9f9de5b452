"""NetAdapt as published."""

from collections.abc import Mapping, Sequence
from typing import ClassVar

from netadapt.pruning import Widths
from netadapt.search.candidate import Candidate
from netadapt.search.goal import Goal, Limits
from netadapt.search.proposals import one_group_each
from netadapt.search.state import SearchState, best
from netadapt.search.strategies.base import Strategy


class NetAdaptStrategy(Strategy):
    """One candidate per group; the best on the holdout, or the one that loses least per saving.

    With ``--blocks`` there is one candidate for each block too, without it.

    Source: Yang et al., NetAdapt, ECCV 2018, algorithm 1.
    """

    drops_blocks: ClassVar[bool] = True

    def propose(self, state: SearchState, limits: Limits) -> Mapping[str, Widths]:
        """Narrow each group by itself until the limits are met."""
        return one_group_each(state.current.widths, self.space.grid, self.space.costs, limits)

    def select(self, state: SearchState, scored: Sequence[Candidate], goal: Goal) -> Candidate:
        """Pick by score, or by score lost for what is saved of the budget violated most."""
        if self.settings.select == "accuracy":
            return best(state, scored)
        parent = state.current
        sign = 1.0 if state.higher_is_better else -1.0

        def lost_for_saved(candidate: Candidate) -> float:
            lost = sign * ((parent.score or 0.0) - (candidate.score or 0.0))
            return lost / (goal.load(state.costs(parent)) - goal.load(state.costs(candidate)))

        return min(scored, key=lost_for_saved)
