"""The command line as a user meets it: what it prints, its exit code, what it leaves behind."""

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from netadapt.cli.main import main

Tree = dict[str, tuple[int, int]]


@dataclass(frozen=True)
class Result:
    """What one command printed, and its exit code."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one JSON object on stdout; no constants that JSON does not know."""

        def refuse(constant: str) -> None:
            raise AssertionError(f"{constant} is not JSON")

        value = json.loads(self.out, parse_constant=refuse)
        assert isinstance(value, dict)
        return value


class CommandLine:
    """Runs commands in this process, from the folder ``here``."""

    def __init__(
        self,
        here: Path,
        stock: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        self.here = here
        self.stock = stock
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def __call__(self, *words: object) -> Result:
        """Run ``netadapt WORDS``; a word is split at blanks, and ``@`` stands for the stock."""
        arguments = [part for word in words for part in self._split(word)]
        self._monkeypatch.setattr(sys, "argv", ["netadapt", *arguments])
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as exit_:
            main()
        printed = self._capsys.readouterr()
        assert isinstance(exit_.value.code, int)
        return Result(exit_.value.code, printed.out, printed.err)

    def refused(self, *words: object) -> str:
        """Run a command that the user got wrong, and return the error.

        It must be one line after any progress, with exit code 2, nothing on stdout and
        nothing written or changed.
        """
        before = tree(self.here), tree(self.stock)
        result = self(*words)
        assert result.code == 2, result
        assert result.out == ""
        *progress, line = result.err.splitlines()
        assert line.startswith("error: ")
        assert not any("error" in told or "Traceback" in told for told in progress)
        assert (tree(self.here), tree(self.stock)) == before
        self.progress = progress
        return line.removeprefix("error: ")

    def refused_at_once(self, *words: object) -> str:
        """As ``refused``, with nothing but the error on stderr."""
        line = self.refused(*words)
        assert self.progress == []
        return line

    def _split(self, word: object) -> list[str]:
        return [str(word)] if isinstance(word, Path) else self.at_stock(str(word)).split()

    def at_stock(self, text: str) -> str:
        """Replace ``@`` by the folder of the stock, and ``@@`` by a plain one."""
        return "@".join(part.replace("@", f"{self.stock}/") for part in text.split("@@"))


def tree(folder: Path) -> Tree:
    """Every file and folder under ``folder``, with size and time of the files."""
    found = {}
    for path in sorted(folder.rglob("*")):
        status = path.lstat()
        size_and_time = (0, 0) if path.is_dir() else (status.st_size, status.st_mtime_ns)
        found[str(path.relative_to(folder))] = size_and_time
    return found
