"""Files as every room writes and reads them: whole or not at all."""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from netadapt.errors import UserError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path in the folder of ``path``; on success fsync it and rename it there.

    On any error the temporary file is removed and ``path`` is left as it was.

    Raises:
        UserError: the folder cannot be written, the disk is full, or ``path`` is a folder.
    """
    if path.is_dir():
        raise UserError(f"cannot write {path}: it is a folder; name a file")
    require_plain(path, "file")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(
            prefix=f".{path.stem[:40]}.", suffix=f".tmp{path.suffix}", dir=path.parent
        )
        os.close(handle)
    except OSError as error:
        raise UserError(f"cannot write {path}: {_reason(error, path)}") from error
    temporary = Path(name)
    try:
        os.chmod(temporary, 0o666 & ~_umask())
        yield temporary
        with open(temporary, "rb") as written:
            os.fsync(written.fileno())
        os.replace(temporary, path)
        _sync_folder(path.parent)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_atomic(path: Path, content: str | bytes) -> None:
    """Write ``content`` to ``path``, whole or not at all. Raises ``UserError`` if it cannot."""
    with replacing(path) as temporary:
        temporary.write_bytes(content.encode() if isinstance(content, str) else content)


@contextmanager
def locked_folder(folder: Path, in_use: str) -> Iterator[None]:
    """Hold ``folder`` for this process; the system lets go of it when the process ends.

    Args:
        folder: an existing one; nothing is written into it.
        in_use: what to say where another process holds it.

    Raises:
        UserError: another process holds it, or it cannot be opened.
    """
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError as error:
        raise UserError(f"cannot open {folder}: {error.strerror or error}") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(in_use) from None
        if not folder.exists() or not os.path.samestat(os.fstat(descriptor), os.stat(folder)):
            raise UserError(in_use)  # whoever made it has taken it away again
        yield
    finally:
        os.close(descriptor)


def existing_file(path: Path, what: str) -> Path:
    """Return ``path`` if it is a readable file, else raise a ``UserError`` that names ``what``."""
    if not path.exists():
        raise UserError(f"{what} {path} does not exist")
    if not path.is_file():
        raise UserError(f"{what} {path} is not a file")
    if not os.access(path, os.R_OK):
        raise UserError(f"{what} {path} cannot be read: permission denied")
    return path


def existing_folder(path: Path, what: str) -> Path:
    """Return ``path`` if it is a folder, else raise a ``UserError`` that names ``what``."""
    if not path.exists():
        raise UserError(f"{what} {path} does not exist")
    if not path.is_dir():
        raise UserError(f"{what} {path} is not a folder")
    return path


def new_folder(path: Path, what: str) -> Path:
    """Create ``path``, which must not exist or be empty; a ``UserError`` says why it cannot.

    What a process left that was killed in ``replacing`` does not count, and is removed.
    """
    require_plain(path, what)
    if path.exists() and not path.is_dir():
        raise UserError(f"{what} {path} exists and is not a folder; choose another name")
    leftovers = set(path.glob(".*.tmp*"))
    if path.is_dir() and set(path.iterdir()) - leftovers:
        raise UserError(f"{what} {path} exists and is not empty; choose another name")
    try:
        path.mkdir(parents=True, exist_ok=True)
        for leftover in leftovers:
            leftover.unlink()
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise UserError(f"cannot write {what} {path}: {_reason(error, path)}") from error
    return path


@contextmanager
def provisional_folder(path: Path, what: str, worth_keeping: Callable[[], bool]) -> Iterator[Path]:
    """Create ``path`` as ``new_folder`` does and hold it; undo that where the context fails.

    Failing is a ``UserError`` or an ``OSError``. Once ``worth_keeping`` says so, and when it is
    interrupted, the folder stays.

    Raises:
        UserError: what ``new_folder`` raises, or another process begins in it.
    """
    outermost = _outermost_new(path)
    new_folder(path, what)
    busy = f"{what} {path} is in use by another netadapt; wait for it, or choose another name"
    with locked_folder(path, busy):
        new_folder(path, what)  # still empty, now that nobody else can begin in it
        try:
            yield path
        except (UserError, OSError):
            if path.is_dir() and not worth_keeping():
                _undo_folder(path, outermost)
            raise


def require_plain(path: Path, what: str) -> None:
    """Raise a ``UserError`` for a path to be made that goes back from nowhere: ``absent/..``."""
    for place, part in enumerate(path.parts):
        before = Path(*path.parts[:place])
        if part == ".." and place and not before.exists():
            raise UserError(f"cannot write {what} {path}: {before} does not exist")


def _undo_folder(path: Path, outermost: Path | None) -> None:
    """Empty ``path``, and remove it with its parents up to ``outermost``."""
    for inside in path.iterdir():
        if inside.is_dir():
            shutil.rmtree(inside, ignore_errors=True)
        else:
            inside.unlink(missing_ok=True)
    _remove_empty(path, outermost)


def _outermost_new(path: Path) -> Path | None:
    """The first of ``path`` and its parents that does not exist yet."""
    return next((p for p in (*reversed(path.parents), path) if not p.exists()), None)


def _remove_empty(path: Path, outermost: Path | None) -> None:
    """Remove ``path`` and its parents up to ``outermost``, as far as they are empty."""
    if outermost is None:
        return
    with suppress(OSError):  # a parent that someone else uses by now is not empty
        for folder in (path, *path.parents):
            folder.rmdir()
            if folder == outermost:
                return


def _reason(error: OSError, path: Path) -> str:
    """Say why ``path`` cannot be created, naming the file that stands where a folder must."""
    with suppress(OSError):
        for parent in path.parents:
            if parent.exists():
                return str(error.strerror) if parent.is_dir() else f"{parent} is not a folder"
    return error.strerror or str(error)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def _sync_folder(folder: Path) -> None:
    with suppress(OSError):  # some file systems cannot sync a folder; the rename is still atomic
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
