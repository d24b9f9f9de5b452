"""Structural similarity (Wang et al., IEEE TIP 2004)."""

from collections.abc import Callable
from functools import lru_cache

import torch
import torch.nn.functional as F
from torch import Tensor

Window = Callable[[Tensor], Tensor]

GAUSSIAN_SIZE = 11
GAUSSIAN_SIGMA = 1.5


def ssim(first: Tensor, second: Tensor, window: Window, data_range: float) -> Tensor:
    """Return the similarity at every place of the window, between -1 and 1.

    Args:
        first, second: ``(N, C, H, W)``; channels are compared each for itself.
        window: the local mean: :func:`gaussian_window` or :func:`box_window`, which also says
            what size the answer has.
        data_range: the difference between the largest and the smallest value there can be.
    """
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    mean1, mean2 = window(first), window(second)
    variance1 = window(first.square()) - mean1.square()
    variance2 = window(second.square()) - mean2.square()
    covariance = window(first * second) - mean1 * mean2
    brightness = (2 * mean1 * mean2 + c1) / (mean1.square() + mean2.square() + c1)
    return brightness * (2 * covariance + c2) / (variance1 + variance2 + c2)


def gaussian_window(x: Tensor) -> Tensor:
    """11x11, sigma 1.5, where it lies inside: ``(N, C, H, W)`` -> ``(N, C, H - 10, W - 10)``."""
    channels = x.shape[1]
    weights = _gaussian().to(x).expand(channels, 1, GAUSSIAN_SIZE)
    blurred = F.conv2d(x, weights[..., None], groups=channels)
    return F.conv2d(blurred, weights[:, :, None], groups=channels)


def box_window(x: Tensor) -> Tensor:
    """3x3, the image mirrored at its border: the shape stays."""
    return F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="reflect"), 3, stride=1)


@lru_cache(maxsize=1)
def _gaussian() -> Tensor:
    places = torch.arange(GAUSSIAN_SIZE, dtype=torch.float64) - GAUSSIAN_SIZE // 2
    weights = torch.exp(-places.square() / (2 * GAUSSIAN_SIGMA**2))
    return weights / weights.sum()
