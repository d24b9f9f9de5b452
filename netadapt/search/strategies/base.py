"""What a strategy decides; everything else of a search is shared."""

from abc import ABC, abstractmethod
from collections.abc import Sequence

from netadapt.latency.predictor import LatencyPredictor
from netadapt.search.candidate import Candidate, Proposal
from netadapt.search.proposals import WidthGrid
from netadapt.search.state import SearchState


class Strategy(ABC):
    """Proposes the candidates of an iteration and selects one of them."""

    @abstractmethod
    def propose(
        self, state: SearchState, grid: WidthGrid, predictor: LatencyPredictor, target_ms: float
    ) -> list[Proposal]:
        """Return the candidates to evaluate; empty if none can meet ``target_ms``."""

    @abstractmethod
    def select(self, state: SearchState, scored: Sequence[Candidate]) -> Candidate:
        """Return the candidate that the next iteration starts from."""
