"""The command that continues after an interrupt."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from netadapt.cli.screen import say
from netadapt.interrupts import uninterrupted

_inside = False


@contextmanager
def resumable(command: Callable[[], str | None]) -> Iterator[None]:
    """If the block is interrupted, print the command that continues, and interrupt.

    Args:
        command: returns the command, or ``None`` if there is nothing to continue yet. Of nested
            blocks the outermost counts: a training inside ``demo`` is continued by ``demo``.
    """
    global _inside
    if _inside:
        yield
        return
    _inside = True
    try:
        yield
    except KeyboardInterrupt:
        with uninterrupted():
            words = command()
            if words is not None:
                say(f"stopped; go on with: {words}")
        raise
    finally:
        _inside = False
