"""What a search reports while it runs."""

from collections.abc import Sequence

from netadapt.search.journal import Retried
from netadapt.search.state import SearchState


class SearchProgress:
    """Told of every step; this one is silent, a terminal view overrides what it shows."""

    def began(self, state: SearchState, budget_ms: float | None, iterations: int) -> None:
        """The walk begins or goes on, to ``budget_ms`` if that is a goal; ``iterations`` to go."""

    def proposed(self, state: SearchState) -> None:
        """An iteration's candidates are known."""

    def scored(self, state: SearchState, name: str) -> None:
        """A candidate was evaluated."""

    def noted(self, text: str) -> None:
        """Something that the user should know of the data."""

    def retried(self, state: SearchState, event: Retried) -> None:
        """An attempt at a candidate came to nothing; it is made again."""

    def workers(self, alive: int, in_flight: Sequence[str]) -> None:
        """So many workers are ready, and these candidates are being evaluated."""

    def draining(self) -> None:
        """The search stops once what is in flight is done."""

    def selected(self, state: SearchState, name: str, iterations: int) -> None:
        """An iteration's pick is made; about ``iterations`` are left."""

    def stage(self, state: SearchState, text: str) -> None:
        """Something else begins: measuring, the long-term fine-tune."""

    def tuned(self, state: SearchState, name: str) -> None:
        """A chosen point was fine-tuned long."""
