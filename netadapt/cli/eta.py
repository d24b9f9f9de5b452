"""Estimates the time left of a stage."""

import time
from collections.abc import Callable

WARM_UP = 1  # first steps that are not counted: they also load data and compile
MIN_STEPS = 3
MIN_SECONDS = 3.0


class Eta:
    """Remaining time from the average step so far.

    Args:
        now: the clock, in seconds.
    """

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._done = 0
        self._began = 0.0

    def advance(self) -> None:
        """One step is done."""
        self._done += 1
        if self._done == WARM_UP:
            self._began = self._now()

    def seconds(self, steps_left: int) -> float | None:
        """Return the seconds that ``steps_left`` steps take; ``None`` while that is a guess.

        It is a guess until 3 steps and 3 seconds have passed since the first step.
        """
        counted = self._done - WARM_UP
        spent = self._now() - self._began
        if counted < MIN_STEPS or spent < MIN_SECONDS:
            return None
        return spent / counted * steps_left

    def text(self, steps_left: int) -> str:
        """Return ``ETA MIN:SEC``, or nothing while that is a guess or nothing is left."""
        seconds = self.seconds(steps_left)
        if seconds is None or steps_left < 1:
            return ""
        return f"ETA {int(seconds) // 60}:{int(seconds) % 60:02d}"
