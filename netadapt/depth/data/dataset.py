"""Splits of decoded examples, as training and evaluation see them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np

from netadapt.depth.data.frames import Depth, Frame, Rgb
from netadapt.depth.data.transforms import (
    PAPER,
    Augmentation,
    Example,
    WorkingImage,
    evaluation_view,
    full_view,
    training_view,
    working_image,
)
from netadapt.errors import UserError

CACHE_BYTES = 4 * 2**30


class Sized(Protocol):
    """What knows how much memory it takes."""

    @property
    def nbytes(self) -> int: ...  # noqa: D102


Thing = TypeVar("Thing", bound=Sized)


class Kept(Generic[Thing]):
    """What ``make`` makes of an index, made at first use and kept in memory.

    Up to ``CACHE_BYTES`` in all; what is beyond that is made anew each time.
    """

    def __init__(self, make: Callable[[int], Thing]) -> None:
        self._make = make
        self._kept: dict[int, Thing] = {}
        self._bytes = 0

    def __getitem__(self, index: int) -> Thing:
        if index in self._kept:
            return self._kept[index]
        thing = self._make(index)
        if self._bytes + thing.nbytes <= CACHE_BYTES:
            self._kept[index] = thing
            self._bytes += thing.nbytes
        return thing


class DepthDataset:
    """One split: frames decoded at first use and kept in memory at working size.

    A frame is kept as uint8 rgb and float32 depth.
    """

    def __init__(
        self,
        frames: Sequence[Frame],
        input_size: tuple[int, int],
        augmentation: Augmentation = PAPER,
    ) -> None:
        self._frames = list(frames)
        self._input_size = input_size
        self._augmentation = augmentation
        self._kept: Kept[WorkingImage] = Kept(self._decoded)

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
        return evaluation_view(self._kept[index], self._input_size)

    def training_example(self, index: int, rng: np.random.Generator) -> Example:
        """An augmented view, a function of the frame and the state of ``rng`` alone.

        Shapes, units and errors are those of ``evaluation_example``.
        """
        return training_view(self._kept[index], self._input_size, rng, self._augmentation)

    def full_example(self, index: int) -> Example:
        """The whole frame at the input size, and its depth at the size it was measured at.

        Returns:
            rgb float32 ``(3, H, W)`` in [0, 1] and depth float32 ``(1, H', W')`` in metres.

        Raises:
            UserError: as ``evaluation_example``.
        """
        return full_view(*checked_depth(self._frames[index]), self._input_size)

    def drop_bad(self) -> list[str]:
        """Decode every frame; leave out those that teach nothing, and return why of each.

        Those are the broken ones and those whose depth is nowhere known.
        """
        good: list[Frame] = []
        reasons: list[str] = []
        for frame in self._frames:
            try:
                _, depth = checked_depth(frame)
            except UserError as error:
                reasons.append(str(error))
                continue
            if depth.any():
                good.append(frame)
            else:
                reasons.append(f"{frame.name}: depth is 0 everywhere")
        self._frames, self._kept = good, Kept(self._decoded)
        return reasons

    def _decoded(self, index: int) -> WorkingImage:
        return working_image(*checked_depth(self._frames[index]), self._input_size)


@dataclass(frozen=True)
class DepthData:
    """A dataset: candidates are trained on ``train`` and chosen on ``holdout``.

    ``test`` is only ever reported. ``note`` tells of a split that is not the usual one.
    """

    spec: str
    input_size: tuple[int, int]
    train: DepthDataset
    holdout: DepthDataset
    test: DepthDataset
    note: str = ""


def checked_depth(frame: Frame) -> tuple[Rgb, Depth]:
    """Decode a frame, with 0 for depth that is not finite.

    Raises:
        UserError: the file is broken, or photograph and depth do not belong together.
    """
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
    return rgb, depth


def _by(shape: tuple[int, ...]) -> str:
    return f"{shape[0]}x{shape[1]}"
