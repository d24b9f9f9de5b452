"""A camera gliding sideways past two walls, in memory, small enough to train in a test."""

from typing import Any

import numpy as np

from netadapt.depth.data import SequenceData
from netadapt.depth.self_supervised import SelfSupervisedTask

SIZE = (64, 96)
FOCAL = 60.0
STEP = 0.1  # metres to the right from frame to frame
NEAR, FAR = 2.0, 5.0  # metres: the lower and the upper half of the view


class FakeTriplets:
    """Triplets ``(before, at, after)``; the walls' patterns follow from the index."""

    def __init__(self, length: int, seed: int, with_depth: bool = True) -> None:
        self.length, self.seed, self.with_depth = length, seed, with_depth

    def __len__(self) -> int:
        return self.length

    def evaluation_example(self, index):
        phases = np.random.default_rng([self.seed, index]).uniform(0, 6, (3, 3))
        frames = np.stack([_view(place * STEP, phases) for place in (-1, 0, 1)])
        depth = np.where(np.arange(SIZE[0]) < SIZE[0] // 2, FAR, NEAR)
        depth = np.broadcast_to(depth[None, :, None], (1, *SIZE)).astype(np.float32)
        intrinsics = np.array(
            [[FOCAL, 0, SIZE[1] / 2], [0, FOCAL, SIZE[0] / 2], [0, 0, 1]], dtype=np.float32
        )
        return frames[1], frames[[0, 2]], intrinsics, depth * self.with_depth

    def training_example(self, index, rng):
        target, sources, intrinsics, _ = self.evaluation_example(index)
        return target, sources, intrinsics


def _view(camera: float, phases) -> np.ndarray:
    """RGB ``(3, H, W)`` seen from ``camera`` metres to the right."""
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]
    depth = np.where(rows < SIZE[0] // 2, FAR, NEAR)
    x = (columns - SIZE[1] / 2) * depth / FOCAL + camera
    y = (rows - SIZE[0] / 2) * depth / FOCAL
    waves = [np.sin(7 * x + a) + np.sin(5 * y + b) + np.sin(4 * (x + y) + c) for a, b, c in phases]
    return (0.5 + np.stack(waves) / 7).astype(np.float32)


def video_task(with_depth: bool = True, train_size: int = 6) -> SelfSupervisedTask:
    parts: list[Any] = [
        FakeTriplets(length, seed, with_depth) for seed, length in enumerate((train_size, 3, 2))
    ]
    return SelfSupervisedTask(SequenceData("fake", SIZE, *parts))
