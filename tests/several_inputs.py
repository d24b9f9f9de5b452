"""Networks that take anything but one image, and a task for one."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from netadapt.training import DatasetTask

INPUTS = ("left=1x3x8x8", "right=1x3x8x8", "more.mask=1x1x8x8")


class Stereo(nn.Module):
    """Two images that are not alike to it, and a mask in a dictionary."""

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        self.left = nn.Conv2d(3, width, 3, padding=1)
        self.right = nn.Conv2d(3, width, 3, padding=1)
        self.middle = nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width))
        self.last = nn.Conv2d(width, 1, 1)

    def forward(self, right: Tensor, left: Tensor, more: dict[str, Tensor]) -> Tensor:
        both = (self.left(left) + self.right(right)).relu() * more["mask"]
        return self.last(self.middle(both).relu())


class Wave(nn.Module):
    """Reads ``(N, 1, samples)``."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv1d(1, 16, 3, padding=1), nn.Conv1d(16, 16, 3, padding=1)
        self.last = nn.Conv1d(16, 1, 1)

    def forward(self, wave: Tensor) -> Tensor:
        return self.last(F.max_pool1d(self.second(self.first(wave).relu()).relu(), 2))


class Volume(nn.Module):
    """Reads ``(N, 1, D, H, W)``."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv3d(1, 8, 3, padding=1), nn.Conv3d(8, 8, 3, padding=1)
        self.last = nn.Conv3d(8, 1, 1)

    def forward(self, volume: Tensor) -> Tensor:
        return self.last(F.max_pool3d(self.second(self.first(volume).relu()).relu(), 2))


def stereo_task(data: str | None, input_size: tuple[int, int] | None) -> DatasetTask:
    """Tell how much brighter the left image is."""
    random = torch.Generator().manual_seed(0)

    def example() -> tuple[dict[str, object], Tensor]:
        left, right = torch.rand(2, 3, 8, 8, generator=random)
        mask = torch.ones(1, 8, 8)
        return {"left": left, "right": right, "more": {"mask": mask}}, (left - right)[:1]

    examples = [example() for _ in range(8)]
    scores = {"error": lambda got, wanted: (got - wanted).abs().mean((1, 2, 3))}
    return DatasetTask(
        "stereo", examples, examples, examples, F.l1_loss, scores, higher_is_better=False
    )
