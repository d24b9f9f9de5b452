"""``tum:DIR``: the TUM RGB-D layout (Sturm et al., IROS 2012).

``rgb.txt`` and ``depth.txt`` list ``timestamp file``; a photograph and a depth image belong
together when their timestamps are nearest and at most 0.02 s apart, as in the data set's
own ``associate.py``. Depth is a 16-bit PNG of 1/5000 m. Blocks are runs of consecutive
frames, and the test split is one of them.
"""

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from netadapt.data.frames import Depth, Frame, Rgb, Splits, read_depth, read_photo
from netadapt.data.splits import in_runs
from netadapt.errors import UserError
from netadapt.files import existing_file, existing_folder

MAX_APART_S = 0.02
DEPTH_UNIT_M = 1 / 5000


def open_tum(folder: Path) -> Splits:
    """Pair the frames of ``folder``; ``UserError`` names a broken list or a missing file."""
    existing_folder(folder, "data folder")
    photo_times, photos = _listed(folder / "rgb.txt")
    depth_times, depths = _listed(folder / "depth.txt")
    frames = [
        Frame(
            name=str(photos[photo]),
            block="",
            decode=partial(_decode, photos[photo], depths[depth]),
        )
        for photo, depth in associate(photo_times, depth_times)
    ]
    if not frames:
        raise UserError(
            f"{folder}: no timestamps of rgb.txt and depth.txt within {MAX_APART_S} s of each other"
        )
    return Splits(train=in_runs(frames), test=[], holdout=[])


def associate(
    first: NDArray[np.float64], second: NDArray[np.float64], max_apart: float = MAX_APART_S
) -> list[tuple[int, int]]:
    """Pair sorted timestamps, the closest pairs first, each used once.

    Returns:
        (position in ``first``, position in ``second``), by increasing time.
    """
    near = []
    for i, time in enumerate(first):
        low, high = np.searchsorted(second, [time - max_apart, time + max_apart])
        near += [(abs(time - second[j]), i, int(j)) for j in range(low, min(high + 1, len(second)))]
    used_first: set[int] = set()
    used_second: set[int] = set()
    pairs = []
    for apart, i, j in sorted(near):
        if apart <= max_apart and i not in used_first and j not in used_second:
            used_first.add(i)
            used_second.add(j)
            pairs.append((i, j))
    return sorted(pairs)


def _decode(photo: Path, depth: Path) -> tuple[Rgb, Depth]:
    return read_photo(photo), read_depth(depth, DEPTH_UNIT_M)


def _listed(listing: Path) -> tuple[NDArray[np.float64], list[Path]]:
    existing_file(listing, "frame list")
    entries = []
    try:
        lines = listing.read_text(encoding="utf-8").splitlines()
    except ValueError as error:
        raise UserError(f"{listing} is not text; replace it") from error
    for number, line in enumerate(lines, start=1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        try:
            time, name = float(words[0]), words[1]
        except (ValueError, IndexError) as error:
            raise UserError(f"{listing} line {number}: expected 'timestamp file'") from error
        if not np.isfinite(time):
            raise UserError(f"{listing} line {number}: timestamp {words[0]} is not finite")
        entries.append((time, existing_file(listing.parent / name, "listed frame")))
    entries.sort()
    return np.array([time for time, _ in entries]), [path for _, path in entries]
