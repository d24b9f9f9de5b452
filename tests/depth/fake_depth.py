"""A depth task in memory, small enough to train in a test, for this process and for children."""

from typing import Any

import numpy as np
import torch

from netadapt.depth import DepthTask
from netadapt.depth.data import DepthData
from netadapt.depth.models import FastDepth
from netadapt.depth.models.fastdepth import GROUPS
from netadapt.training import TrainConfig, TrainSettings

TINY = dict.fromkeys(GROUPS, 8)
SIZE = (64, 64)
LOSS = {"loss": "l1"}


class FakeDataset:
    """Ramps of depth that can be read off the brightness; the corner has no ground truth."""

    def __init__(self, length: int, seed: int) -> None:
        self.length, self.seed = length, seed

    def __len__(self) -> int:
        return self.length

    def evaluation_example(self, index):
        rng = np.random.default_rng([self.seed, index])
        brightness = rng.uniform(0.1, 1.0, (1, *SIZE)).astype(np.float32)
        ramps = np.cumsum(brightness, axis=1) / 64
        depth = (1 + 4 * ramps).astype(np.float32)
        depth[:, :8, :8] = 0
        return np.repeat(ramps, 3, axis=0), depth

    def scored_example(self, index):
        return self.evaluation_example(index)

    def training_example(self, index, rng):
        rgb, depth = self.evaluation_example(index)
        noise = rng.normal(0, 0.05, rgb.shape).astype(np.float32)
        return (rgb + noise)[..., ::-1].copy(), depth[..., ::-1].copy()


def fake_task(loss: str = "l1", train_size: int = 11) -> DepthTask:
    splits: list[Any] = [FakeDataset(train_size, 0), FakeDataset(5, 1), FakeDataset(3, 2)]
    return DepthTask(DepthData("fake", SIZE, *splits), loss)


def tiny(seed: int = 0) -> FastDepth:
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        return FastDepth(TINY)


def config(**changes) -> TrainConfig:
    settings: dict[str, Any] = {
        "steps": 9,
        "batch_size": 4,
        "optimizer": "adamw",
        "lr": 2e-3,
    } | changes
    eval_every = settings.pop("eval_every", 2)
    model = settings.pop("model", "fastdepth")
    options = {"widths": TINY} if model == "fastdepth" else {}
    return TrainConfig(
        model, "fake", SIZE, TrainSettings(**settings), eval_every, options, task_options=LOSS
    )
