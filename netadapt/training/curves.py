"""Curves of a training for TensorBoard (extra ``tensorboard``)."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from netadapt.errors import UserError
from netadapt.training.loop import OnStep
from netadapt.training.progress import Progress

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class LoggedProgress:
    """Passes on what a training reports, and writes it to an event file as well.

    ``loss`` and ``lr`` are written at every step, and ``holdout/NAME`` for each score.
    """

    def __init__(self, shown: Progress, writer: "SummaryWriter") -> None:
        self._shown = shown
        self._writer = writer

    def noted(self, text: str) -> None:
        """Pass on what the user should know."""
        self._shown.noted(text)

    def started(self, step: int, total: int) -> None:
        """Training starts or continues at ``step`` of ``total``."""
        self._shown.started(step, total)

    def step(self, step: int, loss: float, lr: float) -> None:
        """Write the loss and the learning rate of a step."""
        self._shown.step(step, loss, lr)
        _write_step(self._writer, step, loss, lr)

    def evaluated(self, step: int, scores: Mapping[str, float]) -> None:
        """Write the scores on the holdout."""
        self._shown.evaluated(step, scores)
        for name, score in scores.items():
            self._writer.add_scalar(f"holdout/{name}", score, step)
        self._writer.flush()

    def stopping(self) -> None:
        """Pass on that the training stops."""
        self._shown.stopping()


@contextmanager
def logged(shown: Progress, log_dir: Path | None) -> Iterator[Progress]:
    """Yield a progress that also writes curves to ``log_dir``, or ``shown`` if that is ``None``.

    Raises:
        UserError: ``log_dir`` cannot be written.
        ModuleNotFoundError: TensorBoard is not installed.
    """
    if log_dir is None:
        yield shown
        return
    with _writer(log_dir) as writer:
        yield LoggedProgress(shown, writer)


@contextmanager
def logged_steps(log_dir: Path | None) -> Iterator[OnStep | None]:
    """Yield the function that ``fit`` calls after each step; ``None`` without a folder.

    Raises:
        As ``logged``.
    """
    if log_dir is None:
        yield None
        return
    with _writer(log_dir) as writer:
        yield lambda step, loss, lr: _write_step(writer, step, loss, lr)


def _write_step(writer: "SummaryWriter", step: int, loss: float, lr: float) -> None:
    writer.add_scalar("loss", loss, step)
    writer.add_scalar("lr", lr, step)


@contextmanager
def _writer(log_dir: Path) -> Iterator["SummaryWriter"]:
    import tensorboard  # noqa: F401  (torch's own error does not name the package)
    from torch.utils.tensorboard import SummaryWriter

    try:
        log_dir.mkdir(parents=True, exist_ok=True)
        writer = SummaryWriter(str(log_dir))
    except OSError as error:
        raise UserError(f"cannot write {log_dir}: {error.strerror or error}") from error
    try:
        yield writer
    finally:
        writer.close()
