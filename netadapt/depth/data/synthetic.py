"""``synthetic[:N]``: N procedural indoor scenes, and more to choose and test by.

As triplets, the camera walks on between three photographs of each scene.

Scene k of a split is a function of the split's first seed plus k alone. Pictures are kept in
``$NETADAPT_CACHE`` (default ``~/.cache/netadapt``), a file for every 16 scenes of one size,
each picture with its checksum; a file that is damaged is rendered anew, and where nothing
can be written the pictures stay in memory.
"""

import math
import os
import zlib
from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from netadapt.depth.data.frames import Depth, Frame, Pinhole, Rgb, Splits, Triplet
from netadapt.depth.data.rooms.layout import make_scene
from netadapt.depth.data.rooms.motion import moved
from netadapt.depth.data.rooms.raycast import FOCAL_X, FOCAL_Y
from netadapt.depth.data.rooms.render import render
from netadapt.depth.data.transforms import CROP, Size
from netadapt.errors import UserError
from netadapt.files import replacing

GENERATOR = 2
SHARD = 16
MIN_HELD = 16
FIRST_SEED = {"train": 0, "holdout": 1 << 24, "test": 2 << 24}
MILLIMETRE = np.float32(0.001)

Pictures = NDArray[np.void]


def open_synthetic(scenes: int, input_size: Size, holdout_fraction: float) -> Splits[Frame]:
    """``scenes`` training scenes, and at least 16 each for holdout and test."""
    size = render_size(input_size)
    counts = _counts(scenes, holdout_fraction)
    splits = {
        split: [_frame(split, number, size) for number in range(count)]
        for split, count in counts.items()
    }
    return Splits(train=splits["train"], test=splits["test"], holdout=splits["holdout"])


def open_synthetic_triplets(
    scenes: int, input_size: Size, holdout_fraction: float
) -> Splits[Triplet]:
    """As many triplets, rendered at the input size, with the camera's exact intrinsics."""
    counts = _counts(scenes, holdout_fraction)
    splits = {
        split: [_triplet(split, number, input_size) for number in range(count)]
        for split, count in counts.items()
    }
    return Splits(train=splits["train"], test=splits["test"], holdout=splits["holdout"])


def _counts(scenes: int, holdout_fraction: float) -> dict[str, int]:
    return {
        "train": scenes,
        "holdout": max(MIN_HELD, round(scenes * holdout_fraction)),
        "test": max(MIN_HELD, scenes // 10),
    }


def _frame(split: str, number: int, size: Size) -> Frame:
    seed = FIRST_SEED[split] + number
    return Frame(
        name=f"synthetic {split} scene {number}",
        block=f"scene {seed}",
        decode=partial(_decode, seed, size),
    )


def _triplet(split: str, number: int, size: Size) -> Triplet:
    seed, (height, width) = FIRST_SEED[split] + number, size
    camera = Pinhole(
        width=width,
        height=height,
        fx=FOCAL_X * width,
        fy=FOCAL_Y * height,
        cx=(width - 1) / 2,
        cy=(height - 1) / 2,
    )
    sources = partial(_photo, seed, size, -1), partial(_photo, seed, size, 1)
    return Triplet(_frame(split, number, size), sources, camera)


def render_size(input_size: Size) -> Size:
    """The 4:3 picture of which the crop is at least the input size."""
    height = math.ceil(max(input_size[0], input_size[1] * 3 / 4) / CROP)
    return height, math.ceil(height * 4 / 3)


def _photo(seed: int, size: Size, step: int) -> Rgb:
    return _decode(seed, size, step)[0]


def _decode(seed: int, size: Size, step: int = 0) -> tuple[Rgb, Depth]:
    first = seed - seed % SHARD
    shard = Shard(first, size, step)
    picture = shard.pictures()[seed - first]
    if zlib.crc32(picture.tobytes()[:-4]) != picture["checksum"]:
        picture = shard.rendered()[seed - first]
    return np.array(picture["rgb"]), picture["depth"].astype(np.float32) * MILLIMETRE


@dataclass(frozen=True)
class Shard:
    """16 consecutive scenes at one size, in a file or failing that in memory.

    ``step`` is how many moments the camera has walked on.
    """

    first: int
    size: Size
    step: int = 0

    @property
    def path(self) -> Path:
        """Where the pictures are kept."""
        height, width = self.size
        folder = cache_folder() / f"synthetic-v{GENERATOR}" / f"{height}x{width}"
        return folder / (f"{self.first}{self.step:+d}.npy" if self.step else f"{self.first}.npy")

    def pictures(self) -> Pictures:
        """The pictures, rendered if there is no file or an unreadable one."""
        if self in _in_memory():
            return _in_memory()[self]
        try:
            kept: Pictures = np.load(self.path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError, SyntaxError, OverflowError):
            return self.rendered()
        if kept.shape != (SHARD,) or kept.dtype != _layout(self.size):
            return self.rendered()
        return kept

    def rendered(self) -> Pictures:
        """Render the scenes and keep them."""
        pictures = np.zeros(SHARD, _layout(self.size))
        for number in range(SHARD):
            scene = moved(make_scene(self.first + number), self.step)
            rgb, depth = render(scene, *self.size)
            pictures[number]["rgb"] = rgb
            pictures[number]["depth"] = np.round(depth / MILLIMETRE)
            pictures[number]["checksum"] = zlib.crc32(pictures[number].tobytes()[:-4])
        try:
            with replacing(self.path) as temporary:
                np.save(temporary, pictures, allow_pickle=False)
        except UserError:
            _in_memory()[self] = pictures
        return pictures


def cache_folder() -> Path:
    """``$NETADAPT_CACHE``, or ``~/.cache/netadapt``."""
    named = os.environ.get("NETADAPT_CACHE")
    return Path(named).expanduser() if named else Path.home() / ".cache" / "netadapt"


@cache
def _in_memory() -> dict[Shard, Pictures]:
    return {}


def _layout(size: Size) -> np.dtype[np.void]:
    return np.dtype([("rgb", "u1", (*size, 3)), ("depth", "<u2", size), ("checksum", "<u4")])
