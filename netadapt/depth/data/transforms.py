"""The transforms of the FastDepth paper's code, resampled once and without mixing depths.

The paper resizes a frame to 250 rows, crops the central 228x304 and resizes that to the
network's input. Of a 4:3 frame the crop keeps 0.912 of each side; frames of any other
aspect keep the same fraction of each side. A *working image* is the frame resampled so
that this crop is exactly the input size, with what lies around it kept as a margin for
the augmentation to draw from.
"""

import math
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from netadapt.depth.data.frames import Depth, Rgb

CROP = 228 / 250
LUMA = np.array([0.299, 0.587, 0.114], np.float32)

Size = tuple[int, int]
Affine = tuple[float, float, float, float, float, float]
Example = tuple[NDArray[np.float32], NDArray[np.float32]]


@dataclass(frozen=True)
class Augmentation:
    """How far a training view may lie from the photograph.

    Attributes:
        zoom: the largest; depth is divided by it.
        rotation_deg: the largest, either way.
        jitter: brightness, contrast and saturation change by this fraction, either way.
        window: where a zoomed view lies: in the ``centre``, or ``anywhere`` in the photograph.
        gain: each colour channel changes by this fraction, either way, in half of the views.
        gamma: exponent of the colours, from 1 / gamma to gamma, in half of the views.
    """

    zoom: float
    rotation_deg: float
    jitter: float
    window: Literal["centre", "anywhere"] = "centre"
    gain: float = 0.0
    gamma: float = 1.0


PAPER = Augmentation(zoom=1.5, rotation_deg=5.0, jitter=0.4)
AUGMENTATIONS: dict[str, Augmentation] = {
    "paper": PAPER,
    "strong": replace(PAPER, window="anywhere", gain=0.2, gamma=1.4),
    "mild": Augmentation(zoom=1.0, rotation_deg=0.0, jitter=0.2),
}


@dataclass(frozen=True)
class WorkingImage:
    """A frame at working size: the input size plus a margin on every side.

    Attributes:
        rgb: uint8 ``(H, W, 3)``.
        depth: float32 ``(H, W)`` metres, 0 where unknown.
        pixel_aspect: width of a pixel over its height in the scene; 1 when the input has
            the aspect of the crop.
    """

    rgb: Rgb
    depth: Depth
    pixel_aspect: float

    @property
    def nbytes(self) -> int:
        """What it takes in memory."""
        return self.rgb.nbytes + self.depth.nbytes


def margin(input_size: Size) -> Size:
    """Rows and columns that a working image has on each side of the crop."""
    rows, columns = (int(side * (1 / CROP - 1) / 2) for side in input_size)
    return rows, columns


def working_image(rgb: Rgb, depth: Depth, input_size: Size) -> WorkingImage:
    """Shrink a frame: rgb antialiased, depth by the nearest pixel."""
    height, width = depth.shape
    size, box = _working_grid((height, width), input_size)
    small_rgb = np.asarray(Image.fromarray(rgb).resize(size, Image.Resampling.BILINEAR, box))
    small_depth = np.asarray(Image.fromarray(depth).resize(size, Image.Resampling.NEAREST, box))
    aspect = (width / input_size[1]) / (height / input_size[0])
    return WorkingImage(small_rgb, small_depth, aspect)


def evaluation_view(image: WorkingImage, input_size: Size) -> Example:
    """The central crop: rgb ``(3, H, W)`` in [0, 1] and depth ``(1, H, W)`` in metres."""
    (rows, columns), (height, width) = margin(input_size), input_size
    crop = np.s_[rows : rows + height, columns : columns + width]
    return channels_first(unit(image.rgb[crop])), image.depth[crop][None].copy()


def full_view(rgb: Rgb, depth: Depth, input_size: Size) -> Example:
    """The whole frame resized to the input size, and depth ``(1, H', W')`` as it is."""
    return channels_first(unit(resized_photo(rgb, input_size))), depth[None].copy()


def resized_photo(rgb: Rgb, size: Size) -> Rgb:
    """Resize a photograph to ``size`` (H, W), antialiased."""
    height, width = size
    return np.asarray(Image.fromarray(rgb).resize((width, height), Image.Resampling.BILINEAR))


def evaluation_photo(rgb: Rgb, input_size: Size) -> NDArray[np.float32]:
    """A photograph without depth, uint8 ``(H, W, 3)``, as an evaluation example sees it."""
    height, width = rgb.shape[:2]
    blank = np.zeros((height, width), np.float32)
    return evaluation_view(working_image(rgb, blank, input_size), input_size)[0]


def training_view(
    image: WorkingImage,
    input_size: Size,
    rng: np.random.Generator,
    augmentation: Augmentation = PAPER,
) -> Example:
    """Zoom by s with depth / s, rotate, crop, flip, jitter colours.

    One affine warp does all the geometry. Pixels drawn from outside the working image are
    black with depth 0, so that no loss is taken on them.
    """
    zoom = rng.uniform(1, augmentation.zoom)
    angle = math.radians(rng.uniform(-augmentation.rotation_deg, augmentation.rotation_deg))
    flip = rng.random() < 0.5
    matrix = _warp(image, input_size, zoom, angle, flip)
    if augmentation.window == "anywhere":
        matrix = _moved(matrix, image, input_size, zoom, rng)
    size = (input_size[1], input_size[0])
    rgb = Image.fromarray(image.rgb).transform(
        size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR
    )
    depth = Image.fromarray(image.depth).transform(
        size, Image.Transform.AFFINE, matrix, Image.Resampling.NEAREST
    )
    coloured = jitter_colours(unit(np.asarray(rgb)), rng, augmentation.jitter)
    coloured = tinted(coloured, rng, augmentation.gain, augmentation.gamma)
    return channels_first(coloured), (np.asarray(depth, np.float32) / np.float32(zoom))[None]


def jitter_colours(
    rgb: NDArray[np.float32], rng: np.random.Generator, strength: float
) -> NDArray[np.float32]:
    """Scale brightness, contrast and saturation by 1 +- ``strength`` each, in random order.

    ``rgb`` is ``(..., H, W, 3)``; several photographs are changed alike.
    """
    for step in rng.permutation(3):
        factor = np.float32(rng.uniform(1 - strength, 1 + strength))
        if step == 0:
            rgb = rgb * factor
        else:
            grey = rgb @ LUMA
            anchor = grey.mean() if step == 1 else grey[..., None]
            rgb = rgb * factor + anchor * (1 - factor)
        rgb = np.clip(rgb, 0, 1, out=rgb)
    return rgb


def tinted(
    rgb: NDArray[np.float32], rng: np.random.Generator, gain: float, gamma: float
) -> NDArray[np.float32]:
    """Change the colour of the light by ``gain`` and the exposure by ``gamma``, each half the time.

    Draws nothing from ``rng`` where there is nothing to change.
    """
    if gain and rng.random() < 0.5:
        rgb = np.clip(rgb * rng.uniform(1 - gain, 1 + gain, 3).astype(np.float32), 0, 1)
    if gamma != 1 and rng.random() < 0.5:
        rgb = rgb ** np.float32(gamma ** rng.uniform(-1, 1))
    return rgb


def _working_grid(
    frame_size: Size, input_size: Size
) -> tuple[Size, tuple[float, float, float, float]]:
    """Size (width, height) of the working image and its box (left, top, right, bottom)."""
    sides, reach = [], []
    for frame_side, input_side, extra in zip(
        frame_size, input_size, margin(input_size), strict=True
    ):
        sides.append(input_side + 2 * extra)
        reach.append(min(frame_side, sides[-1] * CROP * frame_side / input_side) / 2)
    middle_y, middle_x = (side / 2 for side in frame_size)
    box = (middle_x - reach[1], middle_y - reach[0], middle_x + reach[1], middle_y + reach[0])
    return (sides[1], sides[0]), box


def _warp(image: WorkingImage, input_size: Size, zoom: float, angle: float, flip: bool) -> Affine:
    """Output pixel -> working pixel, as Pillow's six affine coefficients."""
    cosine, sine = math.cos(angle) / zoom, math.sin(angle) / zoom
    mirror = -1.0 if flip else 1.0
    from_x = (cosine * mirror, -sine * mirror * image.pixel_aspect)
    from_y = (sine / image.pixel_aspect, cosine)
    (height, width), (working_height, working_width) = input_size, image.depth.shape
    left = working_width / 2 - from_x[0] * width / 2 - from_y[0] * height / 2
    top = working_height / 2 - from_x[1] * width / 2 - from_y[1] * height / 2
    return (from_x[0], from_y[0], left, from_x[1], from_y[1], top)


def _moved(
    matrix: Affine, image: WorkingImage, input_size: Size, zoom: float, rng: np.random.Generator
) -> Affine:
    """Move the view by what zoom and margin leave room for."""
    rows, columns = (
        (whole - part / zoom) / 2 for whole, part in zip(image.depth.shape, input_size, strict=True)
    )
    down, across = rng.uniform(-rows, rows), rng.uniform(-columns, columns)
    return (*matrix[:2], matrix[2] + across, *matrix[3:5], matrix[5] + down)


def unit(rgb: Rgb) -> NDArray[np.float32]:
    """From bytes to [0, 1]."""
    return rgb.astype(np.float32) / np.float32(255)


def channels_first(rgb: NDArray[np.float32]) -> NDArray[np.float32]:
    """From ``(..., H, W, 3)`` to ``(..., 3, H, W)``."""
    return np.ascontiguousarray(np.moveaxis(rgb, -1, -3))
