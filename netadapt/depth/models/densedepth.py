"""DenseDepth (Alhashim and Wonka, 2018, arXiv:1812.11941): DenseNet-169 and a plain decoder.

Written from the paper; no line of the authors' code is in it.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netadapt.depth.models.encoders import normalise_for, timm_network

# encoder layers whose outputs the decoder takes, finest first, with their channels
SKIPS = {"norm0": 64, "pool0": 64, "transition1": 128, "transition2": 256}
BOTTLENECK = 1664
WIDTHS = (832, 416, 208, 104)
SCALE = 10.0  # metres; the network computes SCALE / depth
NEAREST_ANSWER, FARTHEST_ANSWER = 100.0, 1.0  # 0.1 m and 10 m
INITIAL_ANSWER = 4.0  # 2.5 m


class DenseDepth(nn.Module):
    """Depth at half the resolution: ``(N, 3, H, W)`` RGB in [0, 1] -> ``(N, 1, H/2, W/2)`` metres.

    42.7 million parameters, 122.7 GMACs at 480x640.

    Args:
        imagenet: start the encoder from timm's ``densenet169`` (needs the network once).

    Raises:
        UserError: ImageNet weights that cannot be had.
    """

    def __init__(self, imagenet: bool = False) -> None:
        super().__init__()
        densenet = timm_network("densenet169", imagenet, num_classes=0, global_pool="")
        self.normalise = normalise_for(densenet)
        self.encoder: nn.Sequential = densenet.features
        self.bottleneck = nn.Conv2d(BOTTLENECK, BOTTLENECK, 1)
        self.decoder = nn.ModuleList()
        given = BOTTLENECK
        for skip, channels in zip(reversed(SKIPS.values()), WIDTHS, strict=True):
            self.decoder.append(_Stage(given + skip, channels))
            given = channels
        self.head = nn.Conv2d(given, 1, 3, padding=1)
        assert self.head.bias is not None
        nn.init.constant_(self.head.bias, INITIAL_ANSWER)  # at 0 the clamp would hide everything

    def forward(self, image: Tensor) -> Tensor:
        """Return depth in metres between 0.1 and 10, ``(N, 1, H/2, W/2)``."""
        return SCALE / self.training_outputs(image).clamp(FARTHEST_ANSWER, NEAREST_ANSWER)

    def training_outputs(self, image: Tensor) -> Tensor:
        """Return ``y``, the network's guess at 10 m over depth, ``(N, 1, H/2, W/2)``, unbounded."""
        x = self.normalise(image)
        skips = []
        for name, layer in self.encoder.named_children():
            x = layer(x)
            if name in SKIPS:
                skips.append(x)
        x = self.bottleneck(x)
        for stage in self.decoder:
            x = stage(x, skips.pop())
        answer: Tensor = self.head(x)
        return answer


class _Stage(nn.Module):
    """Bilinear upsampling to the skip's size, concatenation, two 3x3 convolutions."""

    def __init__(self, given: int, channels: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(given, channels, 3, padding=1)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1)
        self.activation = nn.LeakyReLU(0.2)

    def forward(self, x: Tensor, skip: Tensor) -> Tensor:
        x = F.interpolate(x, size=skip.shape[-2:], mode="bilinear")
        x = self.conv1(torch.cat([x, skip], dim=1))
        answer: Tensor = self.activation(self.conv2(x))
        return answer
