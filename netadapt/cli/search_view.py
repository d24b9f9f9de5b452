"""The progress of a search on stderr: a live table on a terminal, plain lines otherwise."""

import time
from collections.abc import Callable, Sequence

from rich.console import Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

from netadapt.cli.common import counted
from netadapt.cli.eta import Eta
from netadapt.cli.screen import can_draw, harmless, say, stderr_console
from netadapt.search.candidate import Candidate
from netadapt.search.course import Course
from netadapt.search.goal import Goal
from netadapt.search.journal import Retried
from netadapt.search.progress import SearchProgress
from netadapt.search.state import SearchState

FRONT_ROWS = 8
REFRESH_SECONDS = 0.1


@harmless
class SearchView(SearchProgress):
    """The live view: iteration, target, candidates done, best so far, front, ETA."""

    def __init__(self) -> None:
        self._console = stderr_console()
        self._live: Live | None = None
        self._course: Course | None = None
        self._goal: Callable[[SearchState], Goal] | None = None
        self._title = ""
        self._eta = Eta()
        self._workers = ""
        self._drawn = 0.0

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._live:
            self._live.stop()

    def opened(
        self, state: SearchState, course: Course, goal: Callable[[SearchState], Goal]
    ) -> None:
        """The search begins or goes on."""
        self._course, self._goal = course, goal
        if state.walk:
            self._walks(state)
        else:
            self._stage(state, "scoring the base network")

    def started(self, state: SearchState) -> None:
        """The base network was scored."""
        self._walks(state)

    def anchored(self, state: SearchState) -> None:
        """The base and the current network were measured."""
        if len(state.walk) == 1:
            self._walks(state)
            return
        name, now = state.current.name, _ms(state, state.current)
        self._line(f"measured {name}: {now:.3g} ms, the base {state.base_ms:.3g} ms")
        self._draw(state)

    def proposed(self, state: SearchState) -> None:
        """An iteration's candidates are known."""
        self._draw(state)

    def scored(self, state: SearchState, name: str) -> None:
        """A candidate was evaluated."""
        self._eta.advance()
        self._draw(state)

    def noted(self, text: str) -> None:
        """Something that the user should know of the data."""
        self._note(text)

    def retried(self, state: SearchState, event: Retried) -> None:
        """An attempt at a candidate failed; it is evaluated again."""
        self._line(f"{event.name}: attempt {event.attempt} failed, trying again: {event.reason}")
        self._draw(state)

    def workers(self, alive: int, in_flight: Sequence[str]) -> None:
        """So many workers are ready."""
        self._workers = f"{alive}, at {', '.join(in_flight[:8])}" if in_flight else str(alive)

    def draining(self) -> None:
        """The search stops once what is in flight is done."""
        self._title = "stopping"
        self._note("stopping once what is in flight is done; Ctrl-C again stops at once")

    def selected(self, state: SearchState, name: str) -> None:
        """An iteration's pick is made."""
        row = state.candidates[name]
        eta = self._remaining(state)
        self._line(
            f"iteration {row.iteration}: {name.partition('-')[2]} -> {_ms(state, row):.3g} ms, "
            f"score {_score(row)}, about {self._left(state)} to go" + (f", {eta}" if eta else "")
        )
        self._draw(state, at_once=True)

    def chosen(self, state: SearchState) -> None:
        """The walk is over and its points are chosen."""
        self._stage(state, "measuring the chosen points")

    def measured(self, state: SearchState) -> None:
        """The chosen points were measured."""
        self._stage(state, f"long-term fine-tune of {counted(len(state.chosen), 'point')}")

    def tuned(self, state: SearchState, name: str) -> None:
        """A chosen point was fine-tuned long."""
        row = state.candidates[name]
        score = "failed" if row.score is None else f"score {row.score:.4f}"
        latency = state.latency(row)
        self._line(f"{name}: {latency.ms:.3g} ms {latency.source}, {score}")
        self._draw(state, at_once=True)

    def _walks(self, state: SearchState) -> None:
        self._title = "walking down"
        now, budget = f"{_ms(state, state.current):.3g}", self._budget_ms(state)
        way = f"down from {now} ms" if budget is None else f"from {now} to {budget:.3g} ms"
        self._line(f"walking {way}, about {counted(self._left(state), 'iteration')}")
        self._draw(state, at_once=True)

    def _stage(self, state: SearchState, text: str) -> None:
        self._title = text
        self._line(text)
        self._draw(state, at_once=True)

    def _left(self, state: SearchState) -> int:
        """About how many iterations are still to come."""
        if self._course is None or self._goal is None or not state.walk:
            return 0
        return self._course.iterations_left(state, self._goal(state))

    def _budget_ms(self, state: SearchState) -> float | None:
        goal = None if self._goal is None else self._goal(state)
        return None if goal is None or goal.minimum is not None else goal.limits.get("ms")

    def _line(self, text: str) -> None:
        if not can_draw(self._console):
            say(text)

    def _note(self, text: str) -> None:
        self._console.print(text, soft_wrap=True, markup=False)

    def _remaining(self, state: SearchState) -> str:
        size = len(state.proposals) or self._per_iteration(state)
        return self._eta.text(len(state.pending) + self._left(state) * size)

    def _per_iteration(self, state: SearchState) -> int:
        shorts = [c for c in state.candidates.values() if c.stage == "short"]
        return max(1, round(len(shorts) / max(1, len(state.walk) - 1)))

    def _draw(self, state: SearchState, at_once: bool = False) -> None:
        """Draw the table, at most ten times a second unless ``at_once``."""
        if not can_draw(self._console):
            return
        if not at_once and time.monotonic() - self._drawn < REFRESH_SECONDS:
            return
        if self._live is None:
            self._live = Live(console=self._console, auto_refresh=False)
            self._live.start()
        self._live.update(self._rendered(state), refresh=True)
        self._drawn = time.monotonic()

    def _rendered(self, state: SearchState) -> RenderableType:
        facts = Table.grid(padding=(0, 2))
        for name, value in self._facts(state).items():
            facts.add_row(name, Text(value))
        if not state.walk:
            return facts
        rows = state.front()
        front = Table(title=f"front ({counted(len(rows), 'point')})", box=None, padding=(0, 2))
        front.add_column("candidate")
        for column in ("ms", "score"):
            front.add_column(column, justify="right")
        front.add_column("latency")
        for row in _spread(rows, FRONT_ROWS):
            latency = state.latency(row)
            front.add_row(Text(row.name), f"{latency.ms:.3f}", _score(row), latency.source)
        return Group(facts, front)

    def _facts(self, state: SearchState) -> dict[str, str]:
        """What is known of the search so far; before the base is scored that is little."""
        facts = {"stage": " ".join([self._title, self._remaining(state)]).strip()}
        budget = self._budget_ms(state)
        if budget is not None:
            facts["budget"] = f"{budget:.4g} ms"
        if state.walk:
            current = state.current
            latency = state.latency(current)
            facts["now"] = f"{latency.ms:.4g} ms {latency.source}, score {_score(current)}"
        if state.proposals:
            done = len(state.proposals) - len(state.pending)
            target = "" if state.target_ms is None else f"target {state.target_ms:.4g} ms, "
            facts[f"iteration {state.iteration}"] = (
                f"{target}candidate {done}/{len(state.proposals)}, "
                f"about {counted(self._left(state), 'iteration')} to go"
            )
        if self._workers:
            facts["workers"] = self._workers
        if state.retries:
            facts["retries"] = str(sum(state.retries.values()))
        if state.scored:
            pick = max if state.higher_is_better else min
            ahead = pick(state.scored, key=lambda candidate: candidate.score or 0.0)
            facts["best so far"] = f"{ahead.name}, score {_score(ahead)}"
        return facts


def _ms(state: SearchState, candidate: Candidate) -> float:
    return state.latency(candidate).ms


def _score(candidate: Candidate) -> str:
    return "failed" if candidate.score is None else f"{candidate.score:.4f}"


def _spread(rows: list[Candidate], count: int) -> list[Candidate]:
    if len(rows) <= count:
        return rows
    return [rows[round(place * (len(rows) - 1) / (count - 1))] for place in range(count)]
