"""What a dataset file hands over: frames that can be decoded, and which may not be separated."""

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from netadapt.errors import UserError

Rgb = NDArray[np.uint8]
Depth = NDArray[np.float32]
Photo = Callable[[], Rgb]
Moment = tuple[str, int]

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
        moment: the recording it is part of and its number there, where that is known. Frames
            of nearly one moment look alike and are kept out of each other's splits.
    """

    name: str
    block: str
    decode: Callable[[], tuple[Rgb, Depth]]
    moment: Moment | None = None


@dataclass(frozen=True)
class Pinhole:
    """A camera without distortion, in pixels of a photograph of ``width`` x ``height``.

    Pixel centres lie at whole numbers, as in OpenCV: (0, 0) is the middle of the first pixel.
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float

    def matrix(self, size: tuple[int, int]) -> NDArray[np.float32]:
        """The intrinsics ``(3, 3)`` once the photograph is resized to ``size`` (H, W)."""
        down, across = size[0] / self.height, size[1] / self.width
        rows = [
            [self.fx * across, 0, (self.cx + 0.5) * across - 0.5],
            [0, self.fy * down, (self.cy + 0.5) * down - 0.5],
            [0, 0, 1],
        ]
        return np.array(rows, np.float32)


@dataclass(frozen=True)
class Triplet:
    """A frame and the photographs that one camera took just before and just after it.

    The depth of ``target`` is 0 everywhere where nothing is known of it.
    """

    target: Frame
    sources: tuple[Photo, Photo]
    camera: Pinhole

    @property
    def name(self) -> str:
        """The file of the frame in the middle."""
        return self.target.name

    @property
    def block(self) -> str:
        """The block of the frame in the middle."""
        return self.target.block

    @property
    def moment(self) -> Moment | None:
        """The moment of the frame in the middle."""
        return self.target.moment


class HasBlock(Protocol):
    """What can be cut into splits: it has a name, a block and perhaps a moment, as a ``Frame``."""

    @property
    def name(self) -> str: ...  # noqa: D102
    @property
    def block(self) -> str: ...  # noqa: D102
    @property
    def moment(self) -> Moment | None: ...  # noqa: D102


Item = TypeVar("Item", bound=HasBlock)


@dataclass(frozen=True)
class Splits(Generic[Item]):
    """What is in a dataset; an empty holdout or test is cut from ``train`` by block.

    ``note`` tells the user, in one line, of a split that is not the usual one.
    """

    train: list[Item]
    test: list[Item]
    holdout: list[Item]
    note: str = ""


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


def photo_and_depth(photo: Path, depth: Path | None, unit: float) -> tuple[Rgb, Depth]:
    """Read both files; depth is 0 everywhere where there is none."""
    rgb = read_photo(photo)
    return rgb, np.zeros(rgb.shape[:2], np.float32) if depth is None else read_depth(depth, unit)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or type(error).__name__
