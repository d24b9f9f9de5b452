"""Splits of decoded examples, as training and evaluation see them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from netadapt.data.frames import Frame
from netadapt.data.transforms import (
    Example,
    WorkingImage,
    evaluation_view,
    training_view,
    working_image,
)
from netadapt.errors import UserError

CACHE_BYTES = 4 * 2**30


class DepthDataset:
    """One split: frames decoded at first use and kept in memory at working size.

    Keeps uint8 rgb and float32 depth of each frame up to ``CACHE_BYTES``; frames beyond that
    are decoded anew each time.
    """

    def __init__(self, frames: Sequence[Frame], input_size: tuple[int, int]) -> None:
        self._frames = list(frames)
        self._input_size = input_size
        self._cache: dict[int, WorkingImage] = {}
        self._cached_bytes = 0

    def __len__(self) -> int:
        return len(self._frames)

    def name(self, index: int) -> str:
        """Which file (or scene) the example comes from."""
        return self._frames[index].name

    def block(self, index: int) -> str:
        """The scene of the example; no scene lies in two splits."""
        return self._frames[index].block

    def evaluation_example(self, index: int) -> Example:
        """The central crop, unaugmented.

        Returns:
            rgb float32 ``(3, H, W)`` in [0, 1] and depth float32 ``(1, H, W)`` in metres,
            0 where there is no ground truth.

        Raises:
            UserError: the file is broken, or holds what cannot be a photograph and its depth.
        """
        return evaluation_view(self._working(index), self._input_size)

    def training_example(self, index: int, rng: np.random.Generator) -> Example:
        """An augmented view, a function of the frame and the state of ``rng`` alone.

        Shapes, units and errors are those of ``evaluation_example``.
        """
        return training_view(self._working(index), self._input_size, rng)

    def _working(self, index: int) -> WorkingImage:
        if index in self._cache:
            return self._cache[index]
        image = _decoded(self._frames[index], self._input_size)
        size = image.rgb.nbytes + image.depth.nbytes
        if self._cached_bytes + size <= CACHE_BYTES:
            self._cache[index] = image
            self._cached_bytes += size
        return image


@dataclass(frozen=True)
class DepthData:
    """A dataset: candidates are trained on ``train`` and chosen on ``holdout``.

    ``test`` is only ever reported.
    """

    spec: str
    input_size: tuple[int, int]
    train: DepthDataset
    holdout: DepthDataset
    test: DepthDataset


def _decoded(frame: Frame, input_size: tuple[int, int]) -> WorkingImage:
    rgb, depth = frame.decode()
    if rgb.shape[:2] != depth.shape:
        raise UserError(
            f"{frame.name}: image is {_by(rgb.shape)} but depth is {_by(depth.shape)}; "
            "register the depth to the image or remove the frame"
        )
    depth = np.where(np.isfinite(depth), depth, np.float32(0))
    if depth.min() < 0:
        raise UserError(
            f"{frame.name}: depth {depth.min():.3g} m is negative; "
            "mark missing depth with 0 or remove the frame"
        )
    return working_image(rgb, depth, input_size)


def _by(shape: tuple[int, ...]) -> str:
    return f"{shape[0]}x{shape[1]}"
