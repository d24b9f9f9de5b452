"""Ctrl-C, where it must not be lost."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def on_interrupt(act: Callable[[], None]) -> Iterator[None]:
    """Call ``act`` at every interrupt; it may raise ``KeyboardInterrupt``.

    Nothing changes off the main thread, and where somebody else handles interrupts.
    """

    def interrupted(number: int, frame: FrameType | None) -> None:
        act()

    usual = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if not usual or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGINT, interrupted)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


class KeptInterrupt:
    """Raises ``KeyboardInterrupt`` at once, and again at the next ``check`` if that was lost.

    What is raised while Python is in a finaliser or a callback of a weak reference is printed and
    forgotten.
    """

    def __init__(self) -> None:
        self._asked = False

    def __call__(self) -> None:
        """Raise, and remember."""
        self._asked = True
        raise KeyboardInterrupt

    def check(self) -> None:
        """Raise if it was asked for before."""
        if self._asked:
            raise KeyboardInterrupt
