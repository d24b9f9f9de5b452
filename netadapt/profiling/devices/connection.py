"""Commands on another machine, by the system's ``ssh``."""

import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from netadapt.errors import UserError
from netadapt.files import existing_file

ADDRESS = re.compile(
    r"ssh://(?P<user>[A-Za-z0-9_][A-Za-z0-9_.-]{0,63})@"
    r"(?:(?P<host>[A-Za-z0-9][A-Za-z0-9.-]{0,252})|\[(?P<ip6>[0-9A-Fa-f:.]{2,45})\])"
    r"(?::(?P<port>[0-9]{1,5}))?"
)
PLAIN_WORD = re.compile(r"[A-Za-z0-9_./][A-Za-z0-9_./-]*|--[a-z]+")
SSH_OPTIONS = (
    "BatchMode=yes",
    "StrictHostKeyChecking=yes",
    "ConnectTimeout=10",
    "ServerAliveInterval=5",
    "ServerAliveCountMax=3",
    "LogLevel=ERROR",
    "ClearAllForwardings=yes",
    "ForwardAgent=no",
    "ForwardX11=no",
    "RequestTTY=no",
    "PermitLocalCommand=no",
)
BROKEN = 255  # how ssh exits where it is the connection that failed
CONFIG_VARIABLE = "NETADAPT_SSH_CONFIG"
PYTHON_VARIABLE = "NETADAPT_SSH_PYTHON"


class DroppedError(Exception):
    """The connection failed; trying again may help."""


class FailedError(Exception):
    """The command over there failed; its last words, and its exit code."""

    def __init__(self, words: str, code: int) -> None:
        super().__init__(words)
        self.code = code


@dataclass(frozen=True)
class Address:
    """Whom to log in as, and where; ``port`` is ``None`` for what ssh's own settings say."""

    user: str
    host: str
    port: int | None

    @classmethod
    def parse(cls, text: str) -> "Address":
        """Read ``ssh://user@host[:port]``. Raises ``UserError`` if it is none."""
        match = ADDRESS.fullmatch(text)
        port = int(match["port"]) if match and match["port"] else None
        if not match or (port is not None and not 0 < port < 1 << 16):
            raise UserError(f"{text!r} is not ssh://user@host[:port]")
        return cls(match["user"], match["host"] or match["ip6"], port)

    def __str__(self) -> str:
        return f"{self.user}@{self.host}" + (f" port {self.port}" if self.port else "")


class Connection:
    """Runs commands at an address, each over a connection of its own.

    The user's own ssh settings, keys and known hosts are used, or those of the configuration
    file that ``NETADAPT_SSH_CONFIG`` names. A host whose key is not known is refused.
    """

    def __init__(self, address: Address) -> None:
        program = shutil.which("ssh")
        if program is None:
            raise UserError("there is no ssh on this machine; install OpenSSH's client")
        config = os.environ.get(CONFIG_VARIABLE)
        self._command = [program]
        if config:
            self._command += ["-F", str(existing_file(Path(config), f"${CONFIG_VARIABLE}"))]
        for option in SSH_OPTIONS:
            self._command += ["-o", option]
        if address.port is not None:
            self._command += ["-p", str(address.port)]
        self._command += ["-l", address.user, "--", address.host]

    def words(self, words: Sequence[str], stdin: bytes = b"") -> str:
        """Run a command of plain words and return its stdout; raises as ``script`` does."""
        return self.script(_joined(words), stdin)

    def script(self, script: str, stdin: bytes = b"") -> str:
        """Run a line of shell, which must hold nothing from outside, and return its stdout.

        Raises:
            DroppedError: the connection failed.
            FailedError: the command did.
        """
        done = subprocess.run([*self._command, script], input=stdin, capture_output=True)
        _check(done.returncode, done.stderr)
        return done.stdout.decode(errors="replace")

    def lines(self, words: Sequence[str], stdin: bytes = b"") -> Iterator[str]:
        """Run a command of plain words and yield its lines as they come.

        Closing the iterator ends the connection. Raises as ``script`` does.
        """
        with tempfile.TemporaryFile() as errors, tempfile.TemporaryFile() as given:
            given.write(stdin)
            given.seek(0)
            process = subprocess.Popen(
                [*self._command, _joined(words)],
                stdin=given,
                stdout=subprocess.PIPE,
                stderr=errors,
            )
            assert process.stdout is not None
            try:
                for line in process.stdout:
                    if line.endswith(b"\n"):
                        yield line.decode(errors="replace")
                code = process.wait()
            finally:
                process.kill()
                process.wait()
                process.stdout.close()
            errors.seek(0)
            _check(code, errors.read())


def remote_python() -> str:
    """The Python of the other machine: ``python3``, or what ``NETADAPT_SSH_PYTHON`` names."""
    python = os.environ.get(PYTHON_VARIABLE) or "python3"
    if not re.fullmatch(r"[A-Za-z0-9_./][A-Za-z0-9_./-]*", python):
        raise UserError(
            f"${PYTHON_VARIABLE} {python!r} is not a plain path, as in /opt/bin/python3"
        )
    return python


def _joined(words: Sequence[str]) -> str:
    """Join words that no shell reads anything into."""
    for word in words:
        if not PLAIN_WORD.fullmatch(word):
            raise ValueError(f"{word!r} is not a plain word")
    return " ".join(words)


def _check(code: int, errors: bytes) -> None:
    lines = errors.decode(errors="replace").strip().splitlines()
    last = lines[-1].strip() if lines else f"exit code {code}"
    if code == BROKEN or code < 0:
        raise DroppedError(last)
    if code:
        raise FailedError(last.removeprefix("error: "), code)
