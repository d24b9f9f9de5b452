"""A small network of the kind of Depth Anything: a vision transformer and a DPT head.

Yang et al., Depth Anything, CVPR 2024: DINOv2's transformer, four of whose blocks feed the head of
Ranftl et al., Vision Transformers for Dense Prediction, ICCV 2021. This one is small enough for
tests; ``python -m netadapt ... --model depth_anything:network`` searches it as any other.
"""

from typing import Any

import torch
import torch.nn.functional as F
from timm.models.vision_transformer import Block
from torch import Tensor, nn

PATCH = 16
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class Residual(nn.Module):
    """Two 3x3 convolutions beside the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1)
        self.second = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.second(F.relu(self.first(F.relu(x))))


class Fusion(nn.Module):
    """Adds a level to what comes from the coarser ones, and doubles its height and width."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.level, self.both = Residual(channels), Residual(channels)
        self.out = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor, coarser: Tensor | None = None) -> Tensor:
        x = x if coarser is None else coarser + self.level(x)
        x = F.interpolate(self.both(x), scale_factor=2, mode="bilinear", align_corners=True)
        return self.out(x)


class DepthAnything(nn.Module):
    """Depth in metres, ``(N, 1, H, W)``, of RGB ``(N, 3, H, W)`` in [0, 1].

    Args:
        input_size: ``(H, W)``, multiples of 32.
        stream: channels that run from block to block.
        depth: blocks; four of them feed the head.
        heads: of each block.
        levels: channels of the four levels of the head, finest first.
        features: channels of the head behind them.
    """

    def __init__(
        self,
        input_size: tuple[int, int] = (96, 128),
        stream: int = 96,
        depth: int = 4,
        heads: int = 3,
        levels: tuple[int, int, int, int] = (24, 48, 96, 96),
        features: int = 32,
    ) -> None:
        super().__init__()
        self.grid = (input_size[0] // PATCH, input_size[1] // PATCH)
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1), persistent=False)
        self.patch = nn.Conv2d(3, stream, PATCH, PATCH)
        self.token = nn.Parameter(torch.randn(1, 1, stream) * 0.02)
        self.position = nn.Parameter(torch.randn(1, self.grid[0] * self.grid[1] + 1, stream) * 0.02)
        self.blocks = nn.ModuleList(
            Block(stream, heads, qkv_bias=True, init_values=1.0) for _ in range(depth)
        )
        self.norm = nn.LayerNorm(stream)
        self.taken = [round((n + 1) * depth / 4) - 1 for n in range(4)]
        self.project = nn.ModuleList(nn.Conv2d(stream, channels, 1) for channels in levels)
        self.resize = nn.ModuleList(
            [
                nn.ConvTranspose2d(levels[0], levels[0], 4, 4),
                nn.ConvTranspose2d(levels[1], levels[1], 2, 2),
                nn.Identity(),
                nn.Conv2d(levels[3], levels[3], 3, 2, 1),
            ]
        )
        self.level = nn.ModuleList(
            nn.Conv2d(channels, features, 3, padding=1, bias=False) for channels in levels
        )
        self.fuse = nn.ModuleList(Fusion(features) for _ in levels)
        self.head = nn.Sequential(
            nn.Conv2d(features, features // 2, 3, padding=1),
            nn.Upsample(scale_factor=2, mode="bilinear", align_corners=True),
            nn.Conv2d(features // 2, 32, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(32, 1, 1),
        )

    def set_depth_statistics(self, mean: float, std: float) -> None:
        """Answer with about this mean, in metres, while the head is fresh."""
        last = self.head[-1]
        assert isinstance(last, nn.Conv2d)
        nn.init.normal_(last.weight, std=0.1 * std)
        assert last.bias is not None
        nn.init.constant_(last.bias, mean)

    def forward(self, image: Tensor) -> Tensor:
        x = self.patch((image - self.mean) / self.std).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(len(x), -1, -1), x], 1) + self.position
        taken = []
        for number, block in enumerate(self.blocks):
            x = block(x)
            if number in self.taken:
                tokens = self.norm(x)[:, 1:].transpose(1, 2)
                taken.append(tokens.unflatten(2, self.grid))
        levels = [
            layer(resize(project(tokens)))
            for tokens, project, resize, layer in zip(
                taken, self.project, self.resize, self.level, strict=True
            )
        ]
        found = self.fuse[3](levels[3])
        for fuse, level in zip(reversed(self.fuse[:3]), reversed(levels[:3]), strict=True):
            found = fuse(level, found)
        return F.relu(self.head(found))


def network(height: int = 96, width: int = 128, **options: Any) -> nn.Module:
    """The network with fresh weights, for one input size; ``options`` as of ``DepthAnything``."""
    return DepthAnything((height, width), **options)
