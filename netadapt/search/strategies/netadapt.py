"""NetAdapt as published."""

from collections.abc import Sequence
from typing import Literal

from netadapt.latency.predictor import LatencyPredictor
from netadapt.search.candidate import Candidate, Proposal
from netadapt.search.proposals import WidthGrid, propose
from netadapt.search.state import SearchState, best
from netadapt.search.strategies.base import Strategy


class NetAdaptStrategy(Strategy):
    """One candidate a group; the best on the holdout, or the one that loses least per ms.

    Source: Yang et al., NetAdapt, ECCV 2018, algorithm 1.
    """

    def __init__(self, select: Literal["accuracy", "ratio"]) -> None:
        self._criterion = select

    def propose(
        self, state: SearchState, grid: WidthGrid, predictor: LatencyPredictor, target_ms: float
    ) -> list[Proposal]:
        """Narrow each group by itself until the target is met."""
        return propose(state.current.widths, grid, predictor, target_ms, state.iteration)

    def select(self, state: SearchState, scored: Sequence[Candidate]) -> Candidate:
        """Pick by score, or by score lost per ms saved."""
        if self._criterion == "accuracy":
            return best(state, scored)
        parent = state.current
        sign = 1.0 if state.higher_is_better else -1.0

        def lost_per_ms(candidate: Candidate) -> float:
            lost = sign * ((parent.score or 0.0) - (candidate.score or 0.0))
            return lost / (parent.predicted_ms - candidate.predicted_ms)

        return min(scored, key=lost_per_ms)
