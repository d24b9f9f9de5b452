"""stderr as a screen: whether it can be drawn on, and what happens when drawing fails."""

import functools
import sys
from collections.abc import Callable
from typing import Any, TypeVar

from rich.console import Console

View = TypeVar("View")


def stderr_console() -> Console:
    """A console on stderr, as wide as the terminal."""
    return Console(stderr=True, highlight=False)


def can_draw(console: Console) -> bool:
    """Whether ``console`` is a terminal that can move its cursor; else it gets plain lines."""
    return console.is_terminal and not console.is_dumb_terminal


def say(text: str) -> None:
    """Print a line on stderr; a stderr that is closed or full changes nothing."""
    try:
        print(text, file=sys.stderr, flush=True)
    except (OSError, ValueError, RuntimeError):  # full; closed; interrupted by a signal's print
        return


def harmless(view: type[View]) -> type[View]:
    """Class decorator for views: an error in drawing never ends the work that is shown.

    The first error of a view is printed on stderr in one line; later ones are dropped. It covers
    all methods that the class itself defines, those that start with an underscore aside.
    """
    for name, method in list(vars(view).items()):
        if callable(method) and not name.startswith("_"):
            setattr(view, name, _guarded(method))
    return view


def _guarded(method: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(method)
    def call(self: Any, *arguments: Any, **options: Any) -> Any:
        try:
            return method(self, *arguments, **options)
        except Exception as error:
            if not getattr(self, "_has_failed", False):
                self._has_failed = True
                reason = " ".join(str(error).split())
                say(f"the progress display failed ({type(error).__name__}: {reason}); work goes on")
            return None

    return call
