"""What a training reports while it runs."""

from collections.abc import Mapping
from typing import Protocol


class Progress(Protocol):
    """Is called as a training proceeds."""

    def noted(self, text: str) -> None:
        """Something that the user should know of the data."""

    def started(self, step: int, total: int) -> None:
        """Training starts or continues at ``step`` of ``total``."""

    def step(self, step: int, loss: float, lr: float) -> None:
        """``step`` steps are done; the last one had this loss and learning rate."""

    def evaluated(self, step: int, scores: Mapping[str, float]) -> None:
        """The holdout was scored after ``step`` steps."""

    def stopping(self) -> None:
        """The training saves its state and stops after the step in progress."""


class Silent:
    """Ignores every report."""

    def noted(self, text: str) -> None:
        """Do nothing."""

    def started(self, step: int, total: int) -> None:
        """Do nothing."""

    def step(self, step: int, loss: float, lr: float) -> None:
        """Do nothing."""

    def evaluated(self, step: int, scores: Mapping[str, float]) -> None:
        """Do nothing."""

    def stopping(self) -> None:
        """Do nothing."""
