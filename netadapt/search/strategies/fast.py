"""One candidate an iteration, cut by saliency in all groups at once, and taught by the base."""

from dataclasses import replace
from typing import ClassVar

from netadapt.search.candidate import Proposal
from netadapt.search.goal import Goal, Limits
from netadapt.search.saliency import Criterion, Scores
from netadapt.search.schedule import ReductionSchedule
from netadapt.search.state import SearchState
from netadapt.search.strategies.base import Strategy
from netadapt.search.strategies.knapsack import Choice, solve_within

STRIDE = 2.0  # times the reduction of the paper's iterations: many groups share it


class FastStrategy(Strategy):
    """The widths that keep the most Fisher importance; both fine-tunes learn from the base too.

    Which channels of a group go is not left to that: it is summed up well over many channels,
    but a channel's own value, from a few batches, is mostly noise. Weights have none.
    """

    importance: ClassVar[Criterion] = "share"
    distils: ClassVar[bool] = True

    def propose(self, state: SearchState, limits: Limits) -> list[Proposal]:
        """Solve the knapsack of the current network's saliencies."""
        problem = self.problem
        choice = Choice.of(self.scores(state), state.current.widths, problem.grid)
        found = solve_within(choice, problem.costs, limits)
        if found is None:
            return []
        return [self.proposal(state, "fast", dict(zip(choice.groups, found, strict=True)))]

    def scores(self, state: SearchState) -> Scores:
        """Return the Fisher information of the current network's channels."""
        checkpoint = self.parent(state).checkpoint
        return self.networks.scores(checkpoint, "fisher", state.iteration)

    def proposing_samples(self) -> int:
        """Return how many training images an iteration reads to propose."""
        return self.networks.scoring_samples("fisher")

    def schedule(self, state: SearchState, goal: Goal) -> ReductionSchedule:
        """As the paper's, with larger reductions."""
        paper = super().schedule(state, goal)
        return replace(paper, initial=STRIDE * paper.initial)
