"""Progress on stderr: bars and tables on a terminal, plain lines otherwise."""

import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.table import Table

from netadapt.search.candidate import Candidate
from netadapt.search.journal import Retried
from netadapt.search.progress import SearchProgress
from netadapt.search.state import SearchState

LINE_SECONDS = 10.0


def stderr_console() -> Console:
    """A console on stderr, as wide as the terminal."""
    return Console(stderr=True, highlight=False)


def bar(console: Console) -> Progress:
    """A progress bar with counts, elapsed and remaining time."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("ETA"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=console,
    )


class StageProgress:
    """Stages with a known number of steps: a bar each, or a line now and then."""

    def __init__(self) -> None:
        self._console = stderr_console()
        self._bar = bar(self._console) if self._console.is_terminal else None
        self._task: TaskID | None = None
        self._name, self._total, self._done, self._last = "", 0, 0, 0.0
        if self._bar:
            self._bar.start()

    def started(self, stage: str, total: int) -> None:
        """A stage of ``total`` steps begins."""
        self._name, self._total, self._done = stage, total, 0
        if self._bar:
            self._task = self._bar.add_task(stage, total=total, note="")
        else:
            self._line()

    def advanced(self) -> None:
        """One step is done."""
        self._done += 1
        if self._bar and self._task is not None:
            self._bar.advance(self._task)
        elif time.monotonic() - self._last > LINE_SECONDS or self._done == self._total:
            self._line()

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._bar:
            self._bar.stop()

    def _line(self) -> None:
        self._last = time.monotonic()
        print(f"{self._name} {self._done}/{self._total}", file=sys.stderr, flush=True)


@contextmanager
def stage_progress() -> Iterator[StageProgress]:
    """A ``StageProgress`` that is closed whatever happens."""
    progress = StageProgress()
    try:
        yield progress
    finally:
        progress.close()


class TrainingView:
    """A training: steps, loss, rate, the holdout's scores."""

    def __init__(self) -> None:
        self._console = stderr_console()
        self._bar = bar(self._console) if self._console.is_terminal else None
        self._task: TaskID | None = None
        self._total, self._first, self._began, self._last = 0, 0, 0.0, 0.0
        if self._bar:
            self._bar.start()

    def started(self, step: int, total: int) -> None:
        """Training begins, or goes on, at ``step`` of ``total``."""
        self._total, self._first, self._began = total, step, time.monotonic()
        if self._bar:
            self._task = self._bar.add_task("training", total=total, completed=step, note="")

    def step(self, step: int, loss: float, lr: float) -> None:
        """``step`` steps are done."""
        note = f"loss {loss:.4f}  lr {lr:.1e}"
        if self._bar and self._task is not None:
            self._bar.update(self._task, completed=step, note=note)
        elif time.monotonic() - self._last > LINE_SECONDS:
            self._last = time.monotonic()
            each = (self._last - self._began) / max(1, step - self._first)
            left = int(each * (self._total - step))
            print(
                f"step {step}/{self._total}  {note}  ETA {left // 60}:{left % 60:02d}",
                file=sys.stderr,
                flush=True,
            )

    def evaluated(self, step: int, scores: Mapping[str, float]) -> None:
        """The holdout was scored."""
        shown = "  ".join(f"{name} {value:.4f}" for name, value in scores.items())
        self._console.print(f"step {step}  holdout: {shown}", soft_wrap=True)

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._bar:
            self._bar.stop()


@contextmanager
def training_view() -> Iterator[TrainingView]:
    """A ``TrainingView`` that is closed whatever happens."""
    view = TrainingView()
    try:
        yield view
    finally:
        view.close()


class SearchView(SearchProgress):
    """The live view: iteration, target, candidates done, best so far, front, ETA."""

    def __init__(self) -> None:
        self._console = stderr_console()
        self._live = (
            Live(console=self._console, refresh_per_second=4, transient=False)
            if self._console.is_terminal
            else None
        )
        self._budget: float | None = None
        self._left = 0
        self._title = ""
        self._began = time.monotonic()
        self._evaluated = 0
        self._workers = ""
        if self._live:
            self._live.start()

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._live:
            self._live.stop()

    def began(self, state: SearchState, budget_ms: float | None, iterations: int) -> None:
        """The walk begins or goes on."""
        self._budget, self._left = budget_ms, iterations
        self._title = "walking down"
        now = f"{state.current.predicted_ms:.3g}"
        way = f"down from {now} ms" if budget_ms is None else f"from {now} to {budget_ms:.3g} ms"
        self._line(f"walking {way}, about {iterations} iterations")

    def proposed(self, state: SearchState) -> None:
        """An iteration's candidates are known."""
        self._draw(state)

    def scored(self, state: SearchState, name: str) -> None:
        """A candidate was evaluated."""
        self._evaluated += 1
        self._draw(state)

    def noted(self, text: str) -> None:
        """Something that the user should know of the data."""
        self._console.print(text, soft_wrap=True)

    def retried(self, state: SearchState, event: Retried) -> None:
        """An attempt at a candidate came to nothing."""
        self._line(f"{event.name}, attempt {event.attempt}: {event.reason}; again")
        self._draw(state)

    def workers(self, alive: int, in_flight: Sequence[str]) -> None:
        """So many workers are ready."""
        self._workers = f"{alive}, at {', '.join(in_flight[:8])}" if in_flight else str(alive)

    def draining(self) -> None:
        """The search stops once what is in flight is done."""
        self._title = "stopping"
        self._console.print(
            "stopping once what is in flight is done; Ctrl-C again stops at once", soft_wrap=True
        )

    def selected(self, state: SearchState, name: str, iterations: int) -> None:
        """An iteration's pick is made."""
        self._left = iterations
        row = state.candidates[name]
        self._line(
            f"iteration {row.iteration}: {name.partition('-')[2]} -> {row.predicted_ms:.3g} ms, "
            f"score {row.score:.4f}, about {iterations} to go{self._eta(state)}"
        )
        self._draw(state)

    def stage(self, state: SearchState, text: str) -> None:
        """Something else begins."""
        self._title = text
        self._line(text)
        self._draw(state)

    def tuned(self, state: SearchState, name: str) -> None:
        """A chosen point was fine-tuned long."""
        row = state.candidates[name]
        score = "failed" if row.score is None else f"score {row.score:.4f}"
        self._line(f"{name}: {row.predicted_ms:.3g} ms predicted, {score}")
        self._draw(state)

    def _line(self, text: str) -> None:
        if not self._live:
            print(text, file=sys.stderr, flush=True)

    def _eta(self, state: SearchState) -> str:
        if not self._evaluated or not (state.proposals or self._left):
            return ""
        each = (time.monotonic() - self._began) / self._evaluated
        size = max(len(state.proposals), 1) if state.proposals else self._per_iteration(state)
        seconds = each * (len(state.pending) + self._left * size)
        return f", ETA {int(seconds // 60)}:{int(seconds % 60):02d}"

    def _per_iteration(self, state: SearchState) -> int:
        shorts = [c for c in state.candidates.values() if c.stage == "short"]
        return max(1, round(len(shorts) / max(1, len(state.walk) - 1)))

    def _draw(self, state: SearchState) -> None:
        if self._live:
            self._live.update(self._rendered(state))

    def _rendered(self, state: SearchState) -> RenderableType:
        facts = Table.grid(padding=(0, 2))
        current = state.current
        facts.add_row("stage", self._title + self._eta(state))
        if self._budget is not None:
            facts.add_row("budget", f"{self._budget:.4g} ms predicted")
        facts.add_row("now", f"{current.predicted_ms:.4g} ms, score {_score(current)}")
        if state.proposals:
            done = len(state.proposals) - len(state.pending)
            target = "" if state.target_ms is None else f"target {state.target_ms:.4g} ms, "
            facts.add_row(
                f"iteration {state.iteration}",
                f"{target}candidate {done}/{len(state.proposals)}, "
                f"about {self._left} iterations to go",
            )
        if self._workers:
            facts.add_row("workers", self._workers)
        if state.retries:
            facts.add_row("retries", str(sum(state.retries.values())))
        if state.scored:
            ahead = max(state.scored, key=lambda c: c.score or 0.0)
            if not state.higher_is_better:
                ahead = min(state.scored, key=lambda c: c.score or 0.0)
            facts.add_row("best so far", f"{ahead.name}, score {_score(ahead)}")
        front = Table(title=f"front ({len(state.front())} points)", box=None, padding=(0, 2))
        for column in ("candidate", "predicted ms", "measured ms", "score"):
            front.add_column(column, justify="left" if column == "candidate" else "right")
        for row in _spread(state.front(), 8):
            measured = state.latency_ms(row)
            clock = "" if measured is None else f"{measured:.3f}"
            front.add_row(row.name, f"{row.predicted_ms:.3f}", clock, _score(row))
        return Group(facts, front)


def _score(candidate: Candidate) -> str:
    return "failed" if candidate.score is None else f"{candidate.score:.4f}"


def _spread(rows: list[Candidate], count: int) -> list[Candidate]:
    if len(rows) <= count:
        return rows
    return [rows[round(place * (len(rows) - 1) / (count - 1))] for place in range(count)]
