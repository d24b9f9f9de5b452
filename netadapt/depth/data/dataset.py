"""Splits of decoded examples, as training and evaluation see them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
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


class HasSize(Protocol):
    """A value that knows how much memory it takes."""

    @property
    def nbytes(self) -> int: ...  # noqa: D102


Value = TypeVar("Value", bound=HasSize)


class Cache(Generic[Value]):
    """Caches what ``make`` returns for an index, up to ``CACHE_BYTES`` in all.

    Values beyond that are made again at each use.
    """

    def __init__(self, make: Callable[[int], Value]) -> None:
        self._make = make
        self._cache: dict[int, Value] = {}
        self._bytes = 0

    def __getitem__(self, index: int) -> Value:
        if index in self._cache:
            return self._cache[index]
        value = self._make(index)
        if self._bytes + value.nbytes <= CACHE_BYTES:
            self._cache[index] = value
            self._bytes += value.nbytes
        return value


class DepthDataset:
    """One split: frames, decoded at first use and cached at working size.

    A cached frame is uint8 RGB and float32 depth.

    Args:
        frames: of the split.
        input_size: ``(H, W)`` of the examples.
        augmentation: how training views differ from the photographs.
        truth_size: ``(H, W)`` at which ``scored_example`` takes ground truth. Default: the input
            size.
    """

    def __init__(
        self,
        frames: Sequence[Frame],
        input_size: tuple[int, int],
        augmentation: Augmentation = PAPER,
        truth_size: tuple[int, int] | None = None,
    ) -> None:
        self._frames = list(frames)
        self._input_size = input_size
        self._truth_size = truth_size or input_size
        self._augmentation = augmentation
        self._forget()

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
        return evaluation_view(self._cache[index], self._input_size)

    def training_example(self, index: int, rng: np.random.Generator) -> Example:
        """An augmented view, a function of the frame and the state of ``rng`` alone.

        Shapes, units and errors are those of ``evaluation_example``.
        """
        return training_view(self._cache[index], self._input_size, rng, self._augmentation)

    def scored_example(self, index: int) -> Example:
        """The central crop at the input size, and its depth at the size at which truth is taken.

        Returns:
            rgb float32 ``(3, H, W)`` in [0, 1] and depth float32 ``(1, H', W')`` in metres.

        Raises:
            UserError: as ``evaluation_example``.
        """
        rgb, depth = self.evaluation_example(index)
        if self._truth_size != self._input_size:
            depth = evaluation_view(self._truths[index], self._truth_size)[1]
        return rgb, depth

    def full_example(self, index: int) -> Example:
        """The whole frame at the input size, and its depth at the size it was measured at.

        Returns:
            rgb float32 ``(3, H, W)`` in [0, 1] and depth float32 ``(1, H', W')`` in metres.

        Raises:
            UserError: as ``evaluation_example``.
        """
        return full_view(*checked_depth(self._frames[index]), self._input_size)

    def drop_bad(self) -> list[str]:
        """Decode every frame; leave out those that teach novalue, and return why of each.

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
        self._frames = good
        self._forget()
        return reasons

    def _forget(self) -> None:
        """Start with empty caches."""
        self._cache = Cache(partial(self._decoded, self._input_size))
        self._truths = Cache(partial(self._decoded, self._truth_size))

    def _decoded(self, size: tuple[int, int], index: int) -> WorkingImage:
        return working_image(*checked_depth(self._frames[index]), size)


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
