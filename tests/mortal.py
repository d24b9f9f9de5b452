"""Processes that die while they write: their deaths are counted out, not timed."""

import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path

import torch
from forked import FORKED

from netadapt.factories import TRUST

MOMENTS = ("torn", "whole")
TORN_BYTES = 10


@contextmanager
def watched_writes(
    folder: Path, fatal: int = 0, moment: str = "whole", of: str = "*"
) -> Iterator[list[str]]:
    """Yield the names of what is written under ``folder``; this process dies at the ``fatal``-th.

    A write is what ``os.fsync`` makes last: a line that was appended, or a file that is then
    given its name. ``torn`` dies in the middle of it, its last bytes missing; ``whole`` after
    it, before anything else. Names that do not match ``of`` do not count.
    """
    fsync, names, folder = os.fsync, [], folder.resolve()

    def watched(descriptor: int) -> None:
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        if folder in path.parents and path.is_file() and fnmatch(path.name, of):
            names.append(path.name)
            if len(names) == fatal:
                if moment == "torn":
                    os.truncate(path, max(0, path.stat().st_size - TORN_BYTES))
                os.kill(os.getpid(), signal.SIGKILL)
        fsync(descriptor)

    os.fsync = watched  # type: ignore[assignment]
    try:
        yield names
    finally:
        os.fsync = fsync


def dies(
    act: Callable[[Path], object], out: Path, write: int, moment: str = "whole", of: str = "*"
) -> bool:
    """Do ``act(out)`` in a process that dies at a write; False if it came to its end before."""
    # the server that forks may have been started before the names in this variable were trusted
    trusted = os.environ.get(TRUST, "")
    child = FORKED.Process(target=_live, args=(act, out, write, moment, of, trusted))
    child.start()
    child.join()
    assert child.exitcode in (0, -signal.SIGKILL)
    return child.exitcode != 0


def _live(
    act: Callable[[Path], object], out: Path, write: int, moment: str, of: str, trusted: str
) -> None:
    os.environ[TRUST] = trusted
    torch.set_num_threads(1)
    with watched_writes(out, write, moment, of):
        act(out)
