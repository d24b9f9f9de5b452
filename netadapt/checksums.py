"""What a run or a training was begun with, so that a change is noticed when it goes on."""

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from netadapt.errors import UserError
from netadapt.options import OUTPUT, Option

TEXTS = (".csv", ".json", ".txt")  # of tables; of data: how frames are paired, split and scaled
MAX_TEXT = 10_000_000  # bytes
DIGITS = 16
CHECKSUMS, ACCEPTED = FACTS = ("checksums", "accepted_changes")  # in a settings file


@dataclass(frozen=True)
class Resuming:
    """What a user says of one call that goes on; it is not remembered."""

    accept_changed: Annotated[
        bool,
        Option(
            "With --resume: go on although the latency table, the base network or the data have "
            "changed since it began.",
            OUTPUT,
        ),
    ] = False


@dataclass(frozen=True)
class Source:
    """Something outside the folder that a result depends on.

    Attributes:
        words: what it is, for messages: ``the latency table lut/x``.
        checksum: of what it is now.
    """

    words: str
    checksum: str


def file_checksum(*paths: Path) -> str:
    """Return a checksum of what the files hold; in text files, ends of lines do not count.

    Raises:
        UserError: one cannot be read.
    """
    digest = hashlib.sha256()
    for path in paths:
        with _named(path):
            content = path.read_bytes()
        if path.suffix in TEXTS:
            content = content.replace(b"\r\n", b"\n")
        digest.update(f"{len(content)} ".encode() + content)
    return digest.hexdigest()[:DIGITS]


def listing_checksum(paths: Iterable[Path]) -> str:
    """Return a checksum of the names and sizes of files, and of what small text files hold.

    Of a folder that is all below it; hidden files do not count. Times do not count either, so that
    a copy is the same as what was copied.

    Raises:
        UserError: a file or folder cannot be read.
    """
    digest = hashlib.sha256()
    for path in paths:
        for name, file in _files(path):
            with _named(file):
                size = file.stat().st_size
                digest.update(f"{name}\n{size}\n".encode("utf-8", "surrogateescape"))
                if file.suffix.lower() in TEXTS and size <= MAX_TEXT:
                    digest.update(file.read_bytes())
    return digest.hexdigest()[:DIGITS]


def facts_of(sources: Mapping[str, Source]) -> dict[str, Any]:
    """Return what a settings file keeps of ``sources``."""
    return {CHECKSUMS: {name: source.checksum for name, source in sources.items()}}


def with_accepted(
    values: Mapping[str, Any], sources: Mapping[str, Source], path: Path, accept: bool
) -> dict[str, Any] | None:
    """Compare ``sources`` with what a settings file remembers; older files remember nothing.

    Args:
        values: what the file holds.
        sources: as they are now.
        path: the file.
        accept: whether the user goes on with what has changed.

    Returns:
        what the file is to hold from now on, or ``None`` if nothing has changed.

    Raises:
        UserError: something has changed and is not accepted; the file is damaged.
    """
    before, accepted = values.get(CHECKSUMS, {}), values.get(ACCEPTED, [])
    if not isinstance(before, dict) or not isinstance(accepted, list):
        raise UserError(f"{path} is damaged: its checksums are not a table of names and values")
    names = [
        name for name, now in sources.items() if before.get(name, now.checksum) != now.checksum
    ]
    if names and not accept:
        words = " and ".join(sources[name].words for name in names)
        raise UserError(
            f"since {path.parent} was begun, {words} changed; restore what was there, begin anew "
            "in another folder, or go on all the same with --accept-changed"
        )
    if not names:
        return None
    now = {name: sources[name].checksum for name in names}
    return {**values, CHECKSUMS: before | now, ACCEPTED: [*accepted, *names]}


def require_resumed(accept: bool, resume: bool) -> None:
    """Raise a ``UserError`` for ``--accept-changed`` where nothing goes on."""
    if accept and not resume:
        raise UserError("--accept-changed is for a run or training that goes on: add --resume")


def _files(path: Path) -> Iterator[tuple[str, Path]]:
    """Yield every file with its name below ``path``, in order; nothing if it is not there."""
    if path.is_file():
        yield path.name, path
    seen: set[str] = set()
    for folder, inside, names in os.walk(path, followlinks=True):
        real = os.path.realpath(folder)
        inside[:] = sorted(name for name in inside if not name.startswith(".") and real not in seen)
        seen.add(real)
        for name in sorted(names):
            file = Path(folder) / name
            if not name.startswith(".") and file.is_file():
                yield file.relative_to(path).as_posix(), file


@contextmanager
def _named(path: Path) -> Iterator[None]:
    """Turn an ``OSError`` into a ``UserError`` that names the file."""
    try:
        yield
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from error
