"""Networks of a user's own with few layers, for tests of what a search does around them."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def layer(given: int, made: int, stride: int = 1) -> nn.Sequential:
    """A 3x3 convolution, a batch norm and a ReLU."""
    return nn.Sequential(
        nn.Conv2d(given, made, 3, stride, 1, bias=False), nn.BatchNorm2d(made), nn.ReLU()
    )


class Slim(nn.Module):
    """Depth of half the resolution, upsampled: ``(N, 3, H, W)`` -> ``(N, 1, H, W)``."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = layer(3, 32, 2), layer(32, 40), layer(40, 24)
        self.head = nn.Conv2d(24, 1, 1)
        assert self.head.bias is not None
        nn.init.constant_(self.head.bias, 3.0)  # metres

    def forward(self, image: Tensor) -> Tensor:
        x = self.head(self.third(self.second(self.first(image))))
        depth: Tensor = torch.relu(F.interpolate(x, scale_factor=2, mode="nearest"))
        return depth


class Reader(nn.Module):
    """Ten outputs for a grey picture: ``(N, 1, H, W)`` -> ``(N, 10)``."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.third = layer(1, 48, 2), layer(48, 40, 2), layer(40, 32, 2)
        self.head = nn.Linear(32, 10)

    def forward(self, image: Tensor) -> Tensor:
        scores: Tensor = self.head(self.third(self.second(self.first(image))).mean((2, 3)))
        return scores


class Deep(nn.Module):
    """As ``Slim``, with a residual block and two plain ones that can be dropped."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.wide = layer(3, 24, 2), Added(24)
        self.plain, self.other, self.last = layer(24, 24), layer(24, 24), layer(24, 16)
        self.head = nn.Conv2d(16, 1, 1)
        assert self.head.bias is not None
        nn.init.constant_(self.head.bias, 3.0)  # metres

    def forward(self, image: Tensor) -> Tensor:
        x = self.last(self.other(self.plain(self.wide(self.first(image)))))
        depth: Tensor = torch.relu(F.interpolate(self.head(x), scale_factor=2, mode="nearest"))
        return depth


class Added(nn.Module):
    """Two layers whose answer is added to what they read."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.inner, self.outer = layer(channels, 32), nn.Conv2d(32, channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.outer(self.inner(x))
