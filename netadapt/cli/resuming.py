"""What to type after an interrupt."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from netadapt.cli.screen import say
from netadapt.interrupts import uninterrupted

_inside = False


@contextmanager
def resumable(command: Callable[[], str | None]) -> Iterator[None]:
    """Where the block is interrupted, say which command goes on, and interrupt.

    Args:
        command: gives the command, or ``None`` if there is nothing to go on with yet. Of nested
            blocks the outermost is asked: a training inside ``demo`` goes on by ``demo``.
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
