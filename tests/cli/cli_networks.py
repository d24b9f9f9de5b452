"""Networks of a user's own, sound and not, for ``package.module:factory``."""

import torch
from torch import Tensor, nn


class Small(nn.Module):
    """Two convolutions: quick to profile."""

    def __init__(self, channels_out: int = 1) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 16, 3, padding=1)
        self.last = nn.Conv2d(16, channels_out, 1)

    def forward(self, image: Tensor) -> Tensor:
        return self.last(torch.relu(self.first(image)))


class Raised(Small):
    """Its last layer reads an upsampled map."""

    def forward(self, image: Tensor) -> Tensor:
        features = torch.relu(self.first(image))
        return self.last(nn.functional.interpolate(features, scale_factor=2.0, mode="nearest"))


class Bilinear(Small):
    """Its product of two vectors and a matrix becomes operations that no traced one stands for."""

    def forward(self, image: Tensor) -> Tensor:
        answer: Tensor = super().forward(image)
        weights = torch.ones(2, 32, 32)
        return answer + nn.functional.bilinear(answer[..., 0], answer[..., 1], weights).mean()


class Failing(Small):
    def forward(self, image: Tensor) -> Tensor:
        raise KeyError("a key\nof the user's")


class Weightless(nn.Module):
    def forward(self, image: Tensor) -> Tensor:
        return image[:, :1]


def two_maps() -> nn.Module:
    return Small(2)


def raises() -> nn.Module:
    raise ValueError("the factory\nis closed")


def leaves() -> nn.Module:
    raise SystemExit(3)


def number() -> int:
    return 3


def wants(argument: int) -> nn.Module:
    return Small(argument)


thing = 3
