"""A terminal for tests: a command under a pseudo-terminal, and the screen a person sees."""

import fcntl
import importlib
import os
import pty
import re
import select
import signal
import struct
import sys
import termios
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Self

import pyte
from forked import FORKED

PATIENCE = 500.0  # seconds; only a command that hangs takes them
ROWS = 50
LOCAL_FLAGS = 3  # of what tcgetattr returns

ERASED = re.compile(rb"(\r\x1b\[2K(?:\x1b\[1A\x1b\[2K)*)")


class Terminal:
    """``netadapt`` with ``words``, on a terminal of its own.

    Attributes:
        seen: every line that was ever on the screen, in order, repetitions dropped.
    """

    def __init__(
        self,
        words: Sequence[str],
        here: Path,
        width: int = 80,
        environment: Mapping[str, str] | None = None,
        stdin: bool = True,
        before: str = "",
    ) -> None:
        """Start it; ``before`` is a module to import first, in the command's process."""
        self._master, self._slave = pty.openpty()  # both stay open: the command opens it late
        self._keep_output_at_interrupts()
        self._screen = pyte.Screen(width, ROWS)
        self._stream = pyte.ByteStream(self._screen)
        self.resize(width)
        self.raw = b""
        self.seen: list[str] = []
        settings = {"TERM": "xterm-256color", "OMP_NUM_THREADS": "1", **(environment or {})}
        arguments = (os.ttyname(self._slave), list(words), str(here), settings, stdin, before)
        self._process = FORKED.Process(target=_run, args=arguments)
        self._process.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.join()
        os.close(self._master)
        os.close(self._slave)

    @property
    def text(self) -> str:
        """What is on the screen, lines stripped at their ends."""
        return "\n".join(line.rstrip() for line in self._screen.display).rstrip()

    def _keep_output_at_interrupts(self) -> None:
        """A terminal drops what it has not shown yet when Ctrl-C is typed; tests read all of it."""
        settings = termios.tcgetattr(self._slave)
        settings[LOCAL_FLAGS] |= termios.NOFLSH
        termios.tcsetattr(self._slave, termios.TCSANOW, settings)

    def resize(self, width: int) -> None:
        """Make the window ``width`` columns wide."""
        fcntl.ioctl(self._master, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, width, 0, 0))
        self._screen.resize(ROWS, width)

    def press(self, keys: str) -> None:
        """Type ``keys``; ``"\\x03"`` is Ctrl-C."""
        os.write(self._master, keys.encode())

    def wait_for(self, *words: str) -> str:
        """Return the screen's text once all ``words`` are on it at one time."""
        end = time.monotonic() + PATIENCE
        while not all(word in self.text for word in words):
            if not self._read(end):
                raise AssertionError(f"{words} never came on the screen:\n{self.text}")
        return self.text

    def end(self) -> int:
        """Let the command end by itself; return its exit code."""
        end = time.monotonic() + PATIENCE
        while self._read(end):
            pass
        self._process.join(max(0.0, end - time.monotonic()))
        code = self._process.exitcode
        assert code is not None, f"the command hangs:\n{self.text}"
        return code

    def _read(self, end: float) -> bool:
        """Show what was printed since; False if the command has ended or time is up."""
        while time.monotonic() < end:
            alive = self._process.is_alive()  # asked first: all that an ended one wrote is there
            if select.select([self._master], [], [], 0.05 if alive else 0)[0]:
                self._show(os.read(self._master, 4096))
                return True
            if not alive:
                return False
        return False

    def _show(self, content: bytes) -> None:
        self.raw += content
        for part in ERASED.split(content):  # a frame that is erased at once was seen, too
            self._stream.feed(part)
            for line in self.text.splitlines():
                if line and line not in self.seen:
                    self.seen.append(line)


def _run(
    terminal: str,
    words: list[str],
    here: str,
    environment: dict[str, str],
    stdin: bool,
    before: str,
) -> Any:
    """In the new process: take the terminal and run the command."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    descriptor = os.open(terminal, os.O_RDWR)
    fcntl.ioctl(descriptor, termios.TIOCSCTTY, 0)
    for number in range(3):
        os.dup2(descriptor, number)
    os.close(descriptor)
    sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
    if stdin:
        sys.stdin = open(0, closefd=False)  # noqa: SIM115
    else:
        os.close(0)
        sys.stdin = None  # what Python makes of a closed stdin
    for name in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "TERM"):
        os.environ.pop(name, None)
    os.environ.update(environment)
    os.chdir(here)
    code = 1
    try:
        if before:
            importlib.import_module(before)
        from netadapt.cli.main import main

        sys.argv = ["netadapt", *words]
        main()
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        with suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)
