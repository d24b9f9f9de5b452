"""A session in another process: its memory is its own, and its end is not ours."""

import json
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from typing import Any, TextIO

from netadapt.profiling.agent.session import Session
from netadapt.profiling.loading import Footprint, LoadedNetwork


def serve(network: LoadedNetwork, version: str, orders: TextIO, answers: TextIO) -> None:
    """Run ``network`` once for every line of ``orders``, until they end; answer with seconds.

    The first answer gives the runtime's version, the last one the footprint.
    """
    _answer(answers, {"version": version})
    for _ in orders:
        _answer(answers, network.session.timed())
    _answer(answers, asdict(network.footprint()))


def refuse(reason: str, answers: TextIO) -> None:
    """Answer, instead of serving, that the runtime is not installed."""
    _answer(answers, {"not_installed": reason})


def _answer(answers: TextIO, value: object) -> None:
    answers.write(json.dumps(value) + "\n")
    answers.flush()


class ServerError(Exception):
    """A process that serves no more; says why."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(reason)
        self.name = name


class NotInstalledError(ServerError):
    """The process has no such runtime."""


class Server(Session):
    """A network loaded by another process, which runs and times it.

    Args:
        name: of the runtime.
        command: loads the network and then calls ``serve`` or ``refuse``.

    Raises:
        ServerError: from any method.
    """

    def __init__(self, name: str, command: Sequence[str]) -> None:
        self.name = name
        self._errors = tempfile.TemporaryFile(mode="w+", encoding="utf-8", errors="replace")  # noqa: SIM115
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            start_new_session=True,  # an interrupt reaches the parent, which ends this
        )

    def ready(self) -> str:
        """Wait until the network is loaded; return the runtime's version."""
        answer = self._next()
        if "not_installed" in answer:
            raise NotInstalledError(self.name, answer["not_installed"])
        return str(answer["version"])

    def run(self) -> None:
        """Have the network run once."""
        self.timed()

    def timed(self) -> float:
        """Have the network run once; return how many seconds it took there."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write("\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise ServerError(self.name, self._reason()) from None
        return float(self._next())

    def finish(self) -> Footprint:
        """End the runs; return what loading and running took."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        return Footprint(**self._next())

    def close(self) -> None:
        """End the process, whatever it does."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._errors):
            assert pipe is not None
            with suppress(BrokenPipeError):  # an order that nobody reads any more
                pipe.close()

    def _next(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise ServerError(self.name, self._reason())
        return json.loads(line)

    def _reason(self) -> str:
        code = self._process.wait()
        self._errors.seek(0)
        said = [line.strip() for line in self._errors if line.strip()]
        if code < 0:
            return f"its process was ended by signal {-code}"
        return said[-1].removeprefix("error: ") if said else f"its process ended with code {code}"
