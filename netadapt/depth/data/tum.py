"""``tum:DIR``: the TUM RGB-D layout (Sturm et al., IROS 2012).

``rgb.txt`` and ``depth.txt`` list ``timestamp file``; a photograph and a depth image belong
together when their timestamps are nearest and at most 0.02 s apart, as in the data set's
own ``associate.py``. Depth is a 16-bit PNG of 1/5000 m. Blocks are runs of consecutive
frames, and the test split is one of them. Triplets are of three photographs in a row, for
which ``DIR/camera.json`` must say the intrinsics.
"""

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from netadapt.depth.data.camera import read_camera
from netadapt.depth.data.frames import Frame, Splits, Triplet, photo_and_depth, read_photo
from netadapt.depth.data.recordings import Shot, triplets
from netadapt.depth.data.splits import in_runs, run_names
from netadapt.errors import UserError
from netadapt.files import existing_file, existing_folder
from netadapt.texts import text_of

MAX_APART_S = 0.02
DEPTH_UNIT_M = 1 / 5000


def open_tum(folder: Path) -> Splits[Frame]:
    """Pair the frames of ``folder``; ``UserError`` names a broken list or a missing file."""
    photos, depth_of = _paired(folder)
    frames = [
        Frame(
            name=str(photos[number]),
            block="",
            decode=partial(photo_and_depth, photos[number], depth, DEPTH_UNIT_M),
        )
        for number, depth in sorted(depth_of.items())
    ]
    if not frames:
        raise UserError(
            f"{folder}: no timestamps of rgb.txt and depth.txt within {MAX_APART_S} s of each other"
        )
    return Splits(train=in_runs(frames), test=[], holdout=[])


def open_tum_triplets(folder: Path) -> Splits[Triplet]:
    """List three photographs in a row; ``UserError`` as ``open_tum``, or without a camera."""
    photos, depth_of = _paired(folder)
    camera = read_camera(folder).pinhole
    shots = {}
    for number, (photo, run) in enumerate(zip(photos, run_names(len(photos)), strict=True)):
        moment = str(folder), number
        decode = partial(photo_and_depth, photo, depth_of.get(number), DEPTH_UNIT_M)
        frame = Frame(name=str(photo), block=run, decode=decode, moment=moment)
        shots[moment] = Shot(frame, partial(read_photo, photo), camera, number in depth_of)
    return Splits(train=triplets(shots.values(), shots), test=[], holdout=[])


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


def _paired(folder: Path) -> tuple[list[Path], dict[int, Path]]:
    """The photographs in the order of time, and the depth image of each that has one."""
    existing_folder(folder, "data folder")
    photo_times, photos = _listed(folder / "rgb.txt")
    depth_times, depths = _listed(folder / "depth.txt")
    pairs = associate(photo_times, depth_times)
    return photos, {photo: depths[depth] for photo, depth in pairs}


def _listed(listing: Path) -> tuple[NDArray[np.float64], list[Path]]:
    existing_file(listing, "frame list")
    entries = []
    try:
        lines = text_of(listing).splitlines()
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
