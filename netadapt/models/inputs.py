"""What a network reads."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


class Normalise(nn.Module):
    """RGB in [0, 1], ``(N, 3, H, W)``, less ``mean`` and over ``std``, as an encoder wants it."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """Return the image normalised; the shape stays."""
        return (image - self.mean) / self.std


def input_channels(model: nn.Module) -> int:
    """Return the channels of its input: what its first convolution takes, or else 3."""
    shape = getattr(model, "deployed_shape", None)
    if shape is not None:
        return int(shape[0])
    first = next((module for module in model.modules() if isinstance(module, nn.Conv2d)), None)
    return 3 if first is None else first.in_channels


def input_size(model: nn.Module) -> tuple[int, int] | None:
    """Return the ``(H, W)`` it was trained or exported at; ``None`` if it remembers none."""
    shape = getattr(model, "deployed_shape", None)
    if shape is not None:
        return int(shape[1]), int(shape[2])
    size: tuple[int, int] | None = getattr(getattr(model, "spec", None), "input_size", None)
    return size
