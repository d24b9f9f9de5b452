"""NetAdapt as published."""

from collections.abc import Sequence

from netadapt.search.candidate import Candidate, Proposal
from netadapt.search.goal import Goal, Limits
from netadapt.search.proposals import propose
from netadapt.search.state import SearchState, best
from netadapt.search.strategies.base import Strategy


class NetAdaptStrategy(Strategy):
    """One candidate a group; the best on the holdout, or the one that loses least for its saving.

    Source: Yang et al., NetAdapt, ECCV 2018, algorithm 1.
    """

    def propose(self, state: SearchState, limits: Limits) -> list[Proposal]:
        """Narrow each group by itself until the limits are met."""
        problem = self.problem
        widths = state.current.widths
        return propose(widths, problem.grid, problem.costs, limits, state.iteration)

    def select(self, state: SearchState, scored: Sequence[Candidate], goal: Goal) -> Candidate:
        """Pick by score, or by score lost for what is saved of the budget violated most."""
        if self.problem.settings.select == "accuracy":
            return best(state, scored)
        parent = state.current
        sign = 1.0 if state.higher_is_better else -1.0

        def lost_for_saved(candidate: Candidate) -> float:
            lost = sign * ((parent.score or 0.0) - (candidate.score or 0.0))
            return lost / (goal.load(parent.costs) - goal.load(candidate.costs))

        return min(scored, key=lost_for_saved)
