"""stdin, stdout and stderr as a command finds them: closed, full, or of another encoding."""

import os
import sys
from contextlib import suppress
from typing import TextIO


def open_streams() -> None:
    """Replace streams that are closed by empty ones, and let every text be printed.

    What an encoding cannot hold is written as an escape (``\\xb5``); names of files that are not
    UTF-8 keep their bytes.
    """
    if sys.stdin is None:
        sys.stdin = open(os.devnull)  # noqa: SIM115
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        with suppress(AttributeError, OSError, ValueError):  # not a text file of ours
            errors = "surrogateescape" if holds_all_text(stream) else "backslashreplace"
            stream.reconfigure(errors=errors)  # type: ignore[union-attr]


def holds_all_text(stream: TextIO) -> bool:
    """Whether the encoding of ``stream`` can hold any text."""
    return (stream.encoding or "").lower().replace("-", "").startswith("utf")


def discard_stdout() -> None:
    """Drop what was printed and cannot be written, so that Python does not try again at its end."""
    try:
        sys.stdout.flush()
        return
    except (OSError, ValueError):
        pass
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
