"""What a dataset file hands over: frames that can be decoded, and which may not be separated."""

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from netadapt.errors import UserError

Rgb = NDArray[np.uint8]
Depth = NDArray[np.float32]

MAX_PIXELS = 2**26
BROKEN_IMAGE = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
)
BROKEN_HDF5 = (OSError, RuntimeError, ValueError, TypeError, KeyError, OverflowError)


@dataclass(frozen=True)
class Frame:
    """A photograph with depth, not yet decoded.

    Attributes:
        name: the file (or scene) it comes from, for messages.
        block: frames of one block show one place and are never parted between splits.
        decode: returns rgb uint8 ``(H, W, 3)`` and depth float32 ``(H, W)`` in metres, 0 or
            not finite where there is no ground truth. Raises ``UserError`` naming the file.
    """

    name: str
    block: str
    decode: Callable[[], tuple[Rgb, Depth]]


@dataclass(frozen=True)
class Splits:
    """The frames of a dataset; an empty holdout or test is cut from ``train`` by block."""

    train: list[Frame]
    test: list[Frame]
    holdout: list[Frame]


def read_photo(path: Path) -> Rgb:
    """Read an 8-bit image file as rgb uint8 ``(H, W, 3)``; ``UserError`` if it cannot be read."""
    try:
        with Image.open(path) as image:
            mode = image.mode
            pixels = np.array(image.convert("RGB"))
    except BROKEN_IMAGE as error:
        raise UserError(
            f"cannot read image {path}: {_one_line(error)}; replace or remove it"
        ) from error
    if mode not in ("RGB", "RGBA", "L", "LA", "P"):
        raise UserError(f"image {path} has mode {mode}; convert it to 8-bit RGB")
    return pixels


def read_depth(path: Path, metres_per_unit: float) -> Depth:
    """Read a 16-bit depth PNG as float32 metres ``(H, W)``; 0 and 65535 become 0 (no depth)."""
    try:
        with Image.open(path) as image:
            mode = image.mode
            raw = np.array(image)
    except BROKEN_IMAGE as error:
        raise UserError(
            f"cannot read depth {path}: {_one_line(error)}; replace or remove it"
        ) from error
    if not mode.startswith("I"):
        raise UserError(f"depth {path} has mode {mode}; save it as a 16-bit one-channel PNG")
    return np.where(raw == 65535, 0, raw).astype(np.float32) * np.float32(metres_per_unit)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
