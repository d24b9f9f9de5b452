"""What a search reports while it runs."""

from collections.abc import Callable, Sequence
from typing import assert_never

from netadapt.search.course import Course
from netadapt.search.goal import Goal
from netadapt.search.journal import (
    Anchored,
    Chosen,
    Event,
    Finished,
    IterationBegan,
    Measured,
    Retried,
    Scored,
    Selected,
    Started,
    Tightened,
    Tuned,
)
from netadapt.search.state import SearchState


class SearchProgress:
    """Listens to a search. This one is silent; a view overrides what it shows.

    ``recorded`` is called after every event of the journal, and calls the method of that event;
    the state includes the event by then.
    """

    def recorded(self, event: Event, state: SearchState) -> None:
        """An event was written to the journal."""
        match event:
            case Started():
                self.started(state)
            case Anchored():
                self.anchored(state)
            case IterationBegan():
                self.proposed(state)
            case Scored(candidate=candidate):
                self.scored(state, candidate.name)
            case Retried():
                self.retried(state, event)
            case Selected(name=name):
                self.selected(state, name)
            case Chosen():
                self.chosen(state)
            case Measured():
                self.measured(state)
            case Tuned(candidate=candidate):
                self.tuned(state, candidate.name)
            case Finished(name=name):
                self.finished(state, name)
            case Tightened():
                pass
            case _:
                assert_never(event)

    def opened(
        self, state: SearchState, course: Course, goal: Callable[[SearchState], Goal]
    ) -> None:
        """The search begins or goes on; ``goal`` says where to, by what the base takes."""

    def noted(self, text: str) -> None:
        """Something that the user should know."""

    def workers(self, alive: int, in_flight: Sequence[str]) -> None:
        """So many workers are ready, and these candidates are being evaluated."""

    def draining(self) -> None:
        """The search stops once the candidates in flight are done."""

    def started(self, state: SearchState) -> None:
        """The base network was scored; the walk begins."""

    def anchored(self, state: SearchState) -> None:
        """The base and the current network were measured."""

    def proposed(self, state: SearchState) -> None:
        """An iteration's candidates are known."""

    def scored(self, state: SearchState, name: str) -> None:
        """A candidate was evaluated."""

    def retried(self, state: SearchState, event: Retried) -> None:
        """An attempt at a candidate failed; it is evaluated again."""

    def selected(self, state: SearchState, name: str) -> None:
        """An iteration's pick is made."""

    def chosen(self, state: SearchState) -> None:
        """The walk is over and its points are chosen; they are measured next."""

    def measured(self, state: SearchState) -> None:
        """The chosen points were measured; their long-term fine-tune is next."""

    def tuned(self, state: SearchState, name: str) -> None:
        """A chosen point was fine-tuned long."""

    def finished(self, state: SearchState, name: str) -> None:
        """The search is over; ``name`` is the answer."""
