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


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Ignore interrupts inside the block: for the line that says how to go on.

    Nothing changes off the main thread.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)


class StopRequest:
    """What ``on_interrupt`` calls: the first interrupt asks to stop soon, the second stops at once.

    Args:
        on_first: called at the first interrupt, to tell the user.
    """

    def __init__(self, on_first: Callable[[], None] = lambda: None) -> None:
        self.asked = False
        self._on_first = on_first

    def __call__(self) -> None:
        """Remember the first interrupt; raise ``KeyboardInterrupt`` at the second."""
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
        self._on_first()
