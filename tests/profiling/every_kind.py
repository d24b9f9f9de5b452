"""A small network with everything that runtimes treat differently."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def conv_bn(given: int, channels: int, kernel: int = 1, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(given, channels, kernel, padding=kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(channels),
    )


class EveryKind(nn.Module):
    """Strides, a skip-add, a depthwise layer, two upsamplings, a concat, a sum that is kept."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1), nn.LeakyReLU(0.1))
        self.depthwise = nn.Sequential(conv_bn(16, 16, 5, groups=16), nn.ReLU6())
        self.project = conv_bn(16, 16)
        self.deep = nn.Sequential(nn.MaxPool2d(2), conv_bn(16, 24, 3), nn.ReLU())
        self.side = nn.Sequential(conv_bn(24, 16), nn.Sigmoid())
        self.merge = nn.Sequential(conv_bn(40, 16), nn.Hardswish())
        self.head = nn.Conv2d(16, 1, 1)

    def forward(self, image: Tensor) -> Tensor:
        x = self.stem(image)
        x = F.relu(x + self.project(self.depthwise(x)))
        deep = self.deep(x)
        near = F.interpolate(deep, scale_factor=2, mode="nearest")
        x = self.merge(torch.cat([near, x], 1))
        side = F.interpolate(self.side(deep), scale_factor=2, mode="bilinear")
        return self.head(F.relu(x + side))


def every_kind() -> tuple[EveryKind, Tensor]:
    """The network in eval mode and an example input."""
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        model = EveryKind()
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                assert module.running_mean is not None
                nn.init.uniform_(module.running_mean, -0.5, 0.5)
                nn.init.uniform_(module.weight, 0.5, 1.5)
        return model.eval(), torch.rand(1, 3, 32, 32)
