"""Monodepth2 (Godard et al., ICCV 2019): ResNet encoder, disparities at four scales, pose network.

Written from the paper; no line of the authors' code is in it.
"""

from collections.abc import Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netadapt.depth.models.encoders import require_multiple, timm_network
from netadapt.errors import UserError
from netadapt.models.inputs import Normalise

RESNETS = {18: "resnet18", 50: "resnet50"}
WIDTHS = (16, 32, 64, 128, 256)  # of the decoder's stages 0 to 4
SCALES = (0, 1, 2, 3)
NEAREST, FARTHEST = 0.1, 100.0  # metres
DOWNSAMPLING = 32
POSE_SCALE = 0.01


class Monodepth2(nn.Module):
    """Depth up to scale: ``(N, 3, H, W)`` RGB in [0, 1] -> ``(N, 1, H, W)`` in 0.1 to 100.

    ``H`` and ``W`` are multiples of 32, 64 at least. 14.3 million parameters and 8.0 GMACs at
    192x640 with 18 layers, 32.5 million and 16.5 GMACs with 50; as deployed, that is without the
    disparities at coarser scales and the pose network, which training alone uses.

    Args:
        num_layers: of the ResNet: 18 or 50.
        scales: where training reads disparities; scale s is ``(H / 2^s, W / 2^s)``.
        imagenet: start both encoders from timm's ResNets (needs the network once).

    Raises:
        UserError: another ResNet or scale, or ImageNet weights that cannot be had.
    """

    training_only: ClassVar[tuple[str, ...]] = ("side_heads", "pose")

    def __init__(
        self, num_layers: int = 18, scales: Sequence[int] = SCALES, imagenet: bool = False
    ) -> None:
        super().__init__()
        if num_layers not in RESNETS:
            raise UserError(f"Monodepth2 has 18 or 50 layers, not {num_layers!r}")
        if 0 not in scales or not set(scales) <= set(SCALES):
            raise UserError(f"Monodepth2's scales are 0 and any of 1, 2, 3, not {list(scales)}")
        self.normalise = _normalise()
        self.encoder = timm_network(RESNETS[num_layers], imagenet, features_only=True)
        skips = [0, *self.encoder.feature_info.channels()]
        self.decoder = nn.ModuleDict()
        given = skips[5]
        for stage in (4, 3, 2, 1, 0):
            self.decoder[str(stage)] = _Stage(given, WIDTHS[stage], skips[stage])
            given = WIDTHS[stage]
        self.head = _conv3x3(WIDTHS[0], 1)
        self.side_heads = nn.ModuleDict(
            {str(scale): _conv3x3(WIDTHS[scale], 1) for scale in sorted(scales) if scale}
        )
        self.pose = PoseNetwork(imagenet)

    def forward(self, image: Tensor) -> Tensor:
        """Return depth ``(N, 1, H, W)``, metres but for a factor that one camera cannot know."""
        return depth_of(torch.sigmoid(self.head(self._decoded(image)[-1])))

    def training_outputs(self, image: Tensor) -> tuple[Tensor, ...]:
        """Return the disparities, in [0, 1], of every scale, finest first.

        That of scale s is ``(N, 1, H / 2^s, W / 2^s)``; :func:`depth_of` turns it into depth.
        """
        decoded = self._decoded(image)
        heads = {0: self.head} | {int(name): head for name, head in self.side_heads.items()}
        return tuple(torch.sigmoid(head(decoded[4 - scale])) for scale, head in heads.items())

    def _decoded(self, image: Tensor) -> list[Tensor]:
        """What the decoder's stages 4 to 0 make of an image."""
        require_multiple(image, DOWNSAMPLING, "Monodepth2")
        features: list[Tensor] = self.encoder(self.normalise(image))
        x = features.pop()
        decoded = []
        for stage in self.decoder.values():
            x = stage(x, features.pop() if features else None)
            decoded.append(x)
        return decoded


class PoseNetwork(nn.Module):
    """Camera motion from one frame to another: a ResNet-18 on both, stacked.

    12.5 million parameters. The first layer takes ImageNet weights twice, halved.
    """

    def __init__(self, imagenet: bool = False) -> None:
        super().__init__()
        self.normalise = _normalise()
        self.encoder = timm_network(
            "resnet18", imagenet, features_only=True, out_indices=(4,), in_chans=6
        )
        self.decoder = nn.Sequential(
            nn.Conv2d(512, 256, 1),
            nn.ReLU(inplace=True),
            nn.Conv2d(256, 256, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(256, 256, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(256, 6, 1),
        )

    def forward(self, first: Tensor, second: Tensor) -> tuple[Tensor, Tensor]:
        """Return what takes points of ``first``'s camera to ``second``'s.

        Both are RGB ``(N, 3, H, W)`` in [0, 1]; the answer is a rotation as axis times angle
        ``(N, 3)``, radians, and a translation ``(N, 3)``.
        """
        frames = torch.cat([self.normalise(first), self.normalise(second)], dim=1)
        motion = POSE_SCALE * self.decoder(self.encoder(frames)[0]).mean(dim=(2, 3))
        return motion[:, :3], motion[:, 3:]


def depth_of(disparity: Tensor) -> Tensor:
    """Return the depth, from 0.1 to 100, of a disparity between 1 and 0; the shape stays."""
    return 1 / (1 / FARTHEST + (1 / NEAREST - 1 / FARTHEST) * disparity)


class _Stage(nn.Module):
    """3x3, nearest upsampling, concatenation with the encoder's features, 3x3."""

    def __init__(self, given: int, channels: int, skip: int) -> None:
        super().__init__()
        self.before = nn.Sequential(_conv3x3(given, channels), nn.ELU(inplace=True))
        self.after = nn.Sequential(_conv3x3(channels + skip, channels), nn.ELU(inplace=True))

    def forward(self, x: Tensor, skip: Tensor | None) -> Tensor:
        x = F.interpolate(self.before(x), scale_factor=2, mode="nearest")
        answer: Tensor = self.after(x if skip is None else torch.cat([x, skip], dim=1))
        return answer


def _conv3x3(given: int, channels: int) -> nn.Conv2d:
    return nn.Conv2d(given, channels, 3, padding=1, padding_mode="reflect")


def _normalise() -> Normalise:
    return Normalise((0.45,) * 3, (0.225,) * 3)
