"""Progress of stages and trainings on stderr: bars on a terminal, plain lines otherwise."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from netadapt.cli.eta import Eta
from netadapt.cli.screen import can_draw, harmless, say, stderr_console

LINE_SECONDS = 10.0


def bar(console: Console) -> Progress:
    """A progress bar with counts, elapsed and remaining time."""
    narrow = console.width < 80
    return Progress(
        TextColumn("{task.description}"),
        *([] if narrow else [BarColumn(bar_width=30)]),
        MofNCompleteColumn(),
        *([] if narrow else [TimeElapsedColumn()]),
        TextColumn("{task.fields[eta]}"),
        *([] if narrow else [TextColumn("{task.fields[note]}")]),
        console=console,
    )


class _Bar:
    """A bar on a terminal; nothing elsewhere."""

    def __init__(self) -> None:
        self.console = stderr_console()
        self._bar = bar(self.console) if can_draw(self.console) else None
        self._task: TaskID | None = None

    @property
    def drawn(self) -> bool:
        """Whether there is a terminal to draw it on."""
        return self._bar is not None

    def begin(self, name: str, total: int, completed: int = 0) -> None:
        """Add a bar of ``total`` steps."""
        if self._bar:
            self._bar.start()
            self._task = self._bar.add_task(name, total=total, completed=completed, note="", eta="")

    def update(self, completed: int, eta: str, note: str = "") -> None:
        """Show that ``completed`` steps are done."""
        if self._bar and self._task is not None:
            self._bar.update(self._task, completed=completed, eta=eta, note=note)

    def close(self) -> None:
        """Leave the terminal as it was."""
        if self._bar:
            self._bar.stop()


@harmless
class StageProgress:
    """Stages with a known number of steps: a bar each, or a line now and then."""

    def __init__(self) -> None:
        self._bar = _Bar()
        self._name, self._total, self._done, self._last = "", 0, 0, 0.0
        self._eta = Eta()

    def started(self, stage: str, total: int) -> None:
        """A stage of ``total`` steps begins."""
        self._name, self._total, self._done, self._eta = stage, total, 0, Eta()
        self._bar.begin(stage, total)
        if not self._bar.drawn:
            self._line()

    def advanced(self) -> None:
        """One step is done."""
        self._done += 1
        self._eta.advance()
        self._bar.update(self._done, self._eta.text(self._total - self._done))
        due = time.monotonic() - self._last > LINE_SECONDS or self._done == self._total
        if due and not self._bar.drawn:
            self._line()

    def close(self) -> None:
        """Leave the terminal as it was."""
        self._bar.close()

    def _line(self) -> None:
        self._last = time.monotonic()
        eta = self._eta.text(self._total - self._done)
        say(f"{self._name} {self._done}/{self._total}  {eta}".rstrip())


@contextmanager
def stage_progress() -> Iterator[StageProgress]:
    """A ``StageProgress`` that is closed whatever happens."""
    progress = StageProgress()
    try:
        yield progress
    finally:
        progress.close()


@harmless
class TrainingView:
    """A training: steps, loss, rate, the holdout's scores."""

    def __init__(self) -> None:
        self._bar = _Bar()
        self._total, self._last = 0, 0.0
        self._eta = Eta()

    def noted(self, text: str) -> None:
        """Print what the user should know of the data."""
        say(text)

    def started(self, step: int, total: int) -> None:
        """Training begins, or goes on, at ``step`` of ``total``."""
        self._total = total
        self._bar.begin("training", total, step)

    def step(self, step: int, loss: float, lr: float) -> None:
        """``step`` steps are done."""
        note = f"loss {loss:.4f}  lr {lr:.1e}"
        self._eta.advance()
        eta = self._eta.text(self._total - step)
        self._bar.update(step, eta, note)
        if not self._bar.drawn and time.monotonic() - self._last > LINE_SECONDS:
            self._last = time.monotonic()
            say(f"step {step}/{self._total}  {note}  {eta}".rstrip())

    def evaluated(self, step: int, scores: Mapping[str, float]) -> None:
        """The holdout was scored."""
        shown = "  ".join(f"{name} {value:.4f}" for name, value in scores.items())
        self._bar.console.print(f"step {step}  holdout: {shown}", soft_wrap=True, markup=False)

    def stopping(self) -> None:
        """The training saves its state and stops after the step in progress."""
        text = "saving and stopping after this step; Ctrl-C again stops at once"
        self._bar.console.print(text, soft_wrap=True)

    def close(self) -> None:
        """Leave the terminal as it was."""
        self._bar.close()


@contextmanager
def training_view() -> Iterator[TrainingView]:
    """A ``TrainingView`` that is closed whatever happens."""
    view = TrainingView()
    try:
        yield view
    finally:
        view.close()
