"""LapDepth (Song et al., IEEE TCSVT 2021): depth as a pyramid of Laplacian residuals.

Written from the paper; no line of the authors' code is in it.
"""

from collections.abc import Iterable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netadapt.depth.models.encoders import normalise_for, require_multiple, timm_network
from netadapt.errors import UserError

ENCODERS = {"resnext101_32x8d": "resnext101_32x8d", "mobilenet_v2": "mobilenetv2_100"}
BOTTLENECK = 512
DILATIONS = (3, 6, 12, 18)
WIDTHS = (256, 128, 64, 64)  # of the decoder's stages, coarsest first
DOWNSAMPLING = 16
NORM_EPS = 1e-3
STANDARD_EPS = 1e-5
LAPLACIAN_WEIGHT = 0.1


class StandardisedConv2d(nn.Conv2d):
    """A convolution whose kernels have mean 0 and deviation 1, whatever ``weight`` holds.

    From each output channel's kernel, ``(in, kh, kw)``, its mean is subtracted, and the rest
    divided by its standard deviation + 1e-5. Each output channel keeps to itself, but removing
    *input* channels changes the statistics of every kernel that read them.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(N, out, H, W)``."""
        answer: Tensor = self._conv_forward(x, standardised(self.weight), self.bias)
        return answer


def standardised(weight: Tensor) -> Tensor:
    """Return ``(out, in, kh, kw)`` with mean 0 and deviation 1 over all but the first."""
    centred = weight - weight.mean(dim=(1, 2, 3), keepdim=True)
    scaled: Tensor = centred / (centred.std(dim=(1, 2, 3), keepdim=True) + STANDARD_EPS)
    return scaled


class LapDepth(nn.Module):
    """Depth from one photograph: ``(N, 3, H, W)`` RGB in [0, 1] -> ``(N, 1, H, W)`` metres.

    ``H`` and ``W`` are multiples of 16. 73.6 million parameters and 124.6 GMACs at 416x544; with
    ``mobilenet_v2`` 15.5 and 57.8, the decoder being the same.

    Args:
        encoder: ``resnext101_32x8d``, of which layer4 is left out, or ``mobilenet_v2``.
        max_depth: metres; the answer lies below: 10 for NYU, 80 for KITTI.
        imagenet: start the encoder from timm's weights (needs the network once).

    Raises:
        UserError: another encoder, a depth that is none, or ImageNet weights that cannot be had.
    """

    def __init__(
        self,
        encoder: str = "resnext101_32x8d",
        max_depth: float = 10.0,
        imagenet: bool = False,
    ) -> None:
        super().__init__()
        if encoder not in ENCODERS:
            raise UserError(f"LapDepth has no encoder {encoder!r}; known: {', '.join(ENCODERS)}")
        if not 0 < max_depth < float("inf"):
            raise UserError(f"max_depth is {max_depth}; give metres above 0")
        self.max_depth = max_depth
        self.encoder = timm_network(
            ENCODERS[encoder], imagenet, features_only=True, out_indices=(0, 1, 2, 3)
        )
        self.normalise = normalise_for(self.encoder)
        half, quarter, eighth, deepest = self.encoder.feature_info.channels()
        self.bottleneck = DenseAtrousPyramid(deepest, BOTTLENECK)
        self.head = _head(BOTTLENECK, (256, 128, 64, 32))
        self.decoder = nn.ModuleList()
        given = BOTTLENECK
        for skip, channels in zip((eighth, quarter, half, 0), WIDTHS, strict=True):
            self.decoder.append(_Stage(given, skip, channels))
            given = channels

    def forward(self, image: Tensor) -> Tensor:
        """Return depth in metres, ``(N, 1, H, W)``."""
        require_multiple(image, DOWNSAMPLING, "LapDepth")
        rgb = self.normalise(image)
        features: list[Tensor] = self.encoder(rgb)
        x = self.bottleneck(features.pop())
        residual = torch.sigmoid(self.head(x))
        total = residual
        for stage, laplacian in zip(self.decoder, reversed(laplacian_pyramid(rgb)), strict=True):
            skip = features.pop() if features else None
            x, residual = stage(x, skip, residual, laplacian)
            total = _doubled(total) + residual
        return self.max_depth * torch.sigmoid(total)


class DenseAtrousPyramid(nn.Module):
    """Dilated convolutions, each of which sees what all before it made (Yang et al., CVPR 2018).

    ``(N, given, H, W)`` -> ``(N, channels, H, W)``.
    """

    def __init__(self, given: int, channels: int) -> None:
        super().__init__()
        half = channels // 2
        self.reduce = _conv(given, channels, 1)
        self.branches = nn.ModuleList(
            nn.Sequential(_conv(channels + place * half, half, 1), _conv(half, half, 3, dilation))
            for place, dilation in enumerate(DILATIONS)
        )
        self.fuse = _conv(channels + len(DILATIONS) * half, channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Return as many pixels as were given."""
        seen = [self.reduce(x)]
        for branch in self.branches:
            seen.append(branch(torch.cat(seen, dim=1)))
        fused: Tensor = self.fuse(torch.cat(seen, dim=1))
        return fused


class _Stage(nn.Module):
    """One level of the pyramid: features of twice the size, and the residual read from them."""

    def __init__(self, given: int, skip: int, channels: int) -> None:
        super().__init__()
        self.conv = _conv(given, channels, 3)
        self.reduce = _conv(channels + skip, channels - 4, 1)
        self.mix = _conv(channels, channels, 3)
        self.head = _head(channels, (channels // 2, channels // 4))

    def forward(
        self, x: Tensor, skip: Tensor | None, coarser: Tensor, laplacian: Tensor
    ) -> tuple[Tensor, Tensor]:
        x = self.conv(_doubled(x))
        x = self.reduce(x if skip is None else torch.cat([x, skip], dim=1))
        x = self.mix(torch.cat([x, _doubled(coarser), laplacian], dim=1))
        edges = LAPLACIAN_WEIGHT * laplacian.mean(dim=1, keepdim=True)
        return x, torch.tanh(self.head(x) + edges)


def laplacian_pyramid(rgb: Tensor) -> list[Tensor]:
    """Return what each of four halvings loses: ``(N, 3, H / 2^s, W / 2^s)``, finest first."""
    lost = []
    for _ in WIDTHS:
        smaller = F.interpolate(rgb, scale_factor=0.5, mode="bilinear")
        lost.append(rgb - _doubled(smaller))
        rgb = smaller
    return lost


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear")


def _head(given: int, widths: Iterable[int]) -> nn.Sequential:
    layers = []
    for channels in (*widths, 1):
        layers.append(_conv(given, channels, 3))
        given = channels
    return nn.Sequential(*layers)


def _conv(given: int, channels: int, kernel: int, dilation: int = 1) -> nn.Sequential:
    padding = dilation * (kernel // 2)
    return nn.Sequential(
        nn.BatchNorm2d(given, eps=NORM_EPS),
        nn.ReLU(inplace=True),
        StandardisedConv2d(given, channels, kernel, 1, padding, dilation, bias=False),
    )
