"""A small Debian for arm64 in a folder, with Python and onnxruntime, and what runs it here.

Packages are unpacked, not installed: it needs no right of root and changes nothing outside.
"""

import hashlib
import lzma
import re
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MIRROR = "http://deb.debian.org/debian"
# what a Python that is never installed for good does without
LEFT_OUT = {
    "debconf", "dpkg", "install-info", "media-types", "mime-support", "perl-base", "tzdata",
    "libdb5.3", "libreadline8", "libncursesw6", "libsqlite3-0", "readline-common",
}  # fmt: skip


@dataclass(frozen=True)
class Board:
    """What the folder holds.

    Attributes:
        suite: of Debian.
        python: its version there.
        wheels: what pip would install on such a board.
    """

    suite: str
    python: str
    wheels: tuple[str, ...]

    @property
    def wanted(self) -> tuple[str, ...]:
        """Debian's packages, without what they depend on."""
        name = self.python
        return (f"python{name}-minimal", f"libpython{name}-stdlib", "libstdc++6", "libgomp1")


BOARDS = {
    "3.11": Board("bookworm", "3.11", ("numpy", "onnxruntime")),
    # the last versions that have wheels for it
    "3.9": Board("bullseye", "3.9", ("numpy==2.0.2", "onnxruntime==1.19.2")),
}


def build(board: Board, cache: Path) -> Path:
    """Return the folder of ``board`` under ``cache``, unpacked at the first call."""
    root = cache / f"root-{board.python}"
    if not (root / "complete").exists():
        _unpack(board.suite, "arm64", board.wanted, root, cache)
        _wheels(board, root / "wheels")
        shutil.copy(_emulator(cache), root / "qemu")
        for name in ("tmp", "proc"):
            (root / name).mkdir(exist_ok=True)
        # all that onnxruntime finds of /sys: one core; versions for Python 3.9 end without it
        cpus = root / "sys/devices/system/cpu"
        cpus.mkdir(parents=True)
        for name in ("possible", "present"):
            (cpus / name).write_text("0\n")
        (root / "complete").touch()
    return root


def _emulator(cache: Path) -> Path:
    """Return a qemu that runs arm64 programs on this machine."""
    folder = cache / "qemu"
    found = folder / "usr/bin/qemu-aarch64-static"
    if not found.exists():
        _unpack("bookworm", "amd64", ("qemu-user-static",), folder, cache)
    return found


def _unpack(
    suite: str, architecture: str, wanted: tuple[str, ...], folder: Path, cache: Path
) -> None:
    known = dict(_packages(suite, architecture, cache))
    for name in _needed(wanted, known):
        package = known[name]
        path = cache / Path(package["Filename"]).name
        if not path.exists():
            _fetch(f"{MIRROR}/{package['Filename']}", path, package["SHA256"])
        subprocess.run(["dpkg-deb", "-x", path, folder], check=True)


def _needed(wanted: tuple[str, ...], known: dict[str, dict[str, str]]) -> list[str]:
    """``wanted`` and all that they depend on."""
    found: list[str] = []
    waiting = list(wanted)
    while waiting:
        name = waiting.pop()
        if name in found or name in LEFT_OUT or name not in known:
            continue
        found.append(name)
        fields = known[name]
        for depends in (fields.get("Depends", ""), fields.get("Pre-Depends", "")):
            waiting += re.findall(r"(?:^|,)\s*([a-z0-9.+-]+)", depends)
    return found


def _packages(suite: str, architecture: str, cache: Path) -> Iterator[tuple[str, dict[str, str]]]:
    path = cache / f"Packages-{suite}-{architecture}.xz"
    if not path.exists():
        _fetch(f"{MIRROR}/dists/{suite}/main/binary-{architecture}/Packages.xz", path)
    for paragraph in lzma.decompress(path.read_bytes()).decode().split("\n\n"):
        fields = dict(re.findall(r"^([A-Za-z0-9-]+): (.*)$", paragraph, flags=re.M))
        if fields:
            yield fields["Package"], fields


def _fetch(url: str, path: Path, sha256: str | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with urllib.request.urlopen(url, timeout=60) as answer:
        content: bytes = answer.read()
    if sha256 and hashlib.sha256(content).hexdigest() != sha256:
        raise SystemExit(f"{url} is not what the mirror's list says")
    path.write_bytes(content)


def _wheels(board: Board, folder: Path) -> None:
    tags = [f"manylinux_2_{minor}_aarch64" for minor in (17, 26, 27, 28, 31)]
    words = [word for tag in (*tags, "manylinux2014_aarch64") for word in ("--platform", tag)]
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--target", str(folder)]
    command += [
        "--no-warn-conflicts",
        "--only-binary=:all:",
        "--python-version",
        board.python,
        *words,
        *board.wheels,
    ]
    subprocess.run(command, check=True)
