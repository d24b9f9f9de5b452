"""Splits of decoded triplets, as self-supervised training and its evaluation see them.

As in Monodepth2 (Godard et al., ICCV 2019), photographs are seen whole, resized to the input
size, and augmented alike: half of the triplets are mirrored, half have their colours changed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from netadapt.depth.data.dataset import Cache, checked_depth
from netadapt.depth.data.frames import Depth, Rgb, Triplet
from netadapt.depth.data.transforms import (
    Example,
    Size,
    channels_first,
    full_view,
    jitter_colours,
    resized_photo,
    unit,
)
from netadapt.errors import UserError

JITTER = 0.2

Floats = NDArray[np.float32]
TrainingTriplet = tuple[Floats, Floats, Floats]
EvaluationTriplet = tuple[Floats, Floats, Floats, Floats]


@dataclass(frozen=True)
class Working:
    """A triplet at input size.

    Attributes:
        rgb: uint8 ``(3, H, W, 3)``: the target, the frame before, the frame after.
        depth: float32 ``(H, W)`` metres of the target, 0 where unknown.
        intrinsics: float32 ``(3, 3)`` in pixels.
    """

    rgb: Rgb
    depth: Depth
    intrinsics: Floats

    @property
    def nbytes(self) -> int:
        """What it takes in memory."""
        return self.rgb.nbytes + self.depth.nbytes


class TripletDataset:
    """One split of triplets, decoded at first use and cached as ``DepthDataset`` does.

    Intrinsics ``(3, 3)`` are in pixels of what is returned with them; pixel centres lie at
    whole numbers.
    """

    def __init__(self, triplets: Sequence[Triplet], input_size: Size) -> None:
        self._triplets = list(triplets)
        self._input_size = input_size
        self._cache: Cache[Working] = Cache(self._decoded)

    def __len__(self) -> int:
        return len(self._triplets)

    def name(self, index: int) -> str:
        """Which file (or scene) the target comes from."""
        return self._triplets[index].name

    def block(self, index: int) -> str:
        """The run of frames the target lies in."""
        return self._triplets[index].block

    def training_example(self, index: int, rng: np.random.Generator) -> TrainingTriplet:
        """An augmented view, a function of the triplet and the state of ``rng`` alone.

        Returns:
            target ``(3, H, W)`` and sources ``(2, 3, H, W)``, the frame before and the one
            after, float32 in [0, 1], and intrinsics ``(3, 3)``.

        Raises:
            UserError: a file is broken, or of another size than its camera's.
        """
        working = self._cache[index]
        rgb, intrinsics = unit(working.rgb), working.intrinsics.copy()
        if rng.random() < 0.5:
            rgb = rgb[:, :, ::-1]
            intrinsics[0, 2] = self._input_size[1] - 1 - intrinsics[0, 2]
        if rng.random() < 0.5:
            rgb = jitter_colours(rgb, rng, JITTER)
        photos = channels_first(rgb)
        return photos[0], photos[1:], intrinsics

    def evaluation_example(self, index: int) -> EvaluationTriplet:
        """As ``training_example`` without augmentation, and depth ``(1, H, W)`` of the target.

        Depth is in metres, 0 where unknown.
        """
        working = self._cache[index]
        photos = channels_first(unit(working.rgb))
        return photos[0], photos[1:], working.intrinsics.copy(), working.depth[None].copy()

    def full_example(self, index: int) -> Example:
        """The target ``(3, H, W)`` and its depth ``(1, H', W')`` at the size it was measured at."""
        return full_view(*checked_depth(self._triplets[index].target), self._input_size)

    def _decoded(self, index: int) -> Working:
        triplet, camera = self._triplets[index], self._triplets[index].camera
        rgb, depth = checked_depth(triplet.target)
        photos = [rgb, *(source() for source in triplet.sources)]
        for photo in photos:
            height, width = photo.shape[:2]
            if (height, width) != (camera.height, camera.width):
                raise UserError(
                    f"{triplet.name}: a photograph is {height}x{width} but its camera "
                    f"{camera.height}x{camera.width}; give the intrinsics at the photographs' size"
                )
        size = (self._input_size[1], self._input_size[0])
        return Working(
            np.stack([resized_photo(photo, self._input_size) for photo in photos]),
            np.asarray(Image.fromarray(depth).resize(size, Image.Resampling.NEAREST)),
            camera.matrix(self._input_size),
        )


@dataclass(frozen=True)
class SequenceData:
    """Triplets: candidates are trained on ``train`` and chosen on ``holdout``.

    ``test`` is only ever reported. ``note`` tells of a split that is not the usual one.
    """

    spec: str
    input_size: Size
    train: TripletDataset
    holdout: TripletDataset
    test: TripletDataset
    note: str = ""
