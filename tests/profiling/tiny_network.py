"""A network with what matters to a runtime: a residual, a depthwise layer, an upsampling."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Tiny(nn.Module):
    def __init__(self, heads: int = 1) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(3, 64, 3, 2, 1, bias=False), nn.BatchNorm2d(64), nn.ReLU()
        )
        self.depthwise = nn.Sequential(
            nn.Conv2d(64, 64, 3, 1, 1, groups=64, bias=False), nn.BatchNorm2d(64), nn.ReLU6()
        )
        self.expand = nn.Sequential(
            nn.Conv2d(64, 128, 1, bias=False), nn.BatchNorm2d(128), nn.ReLU6()
        )
        self.project = nn.Sequential(nn.Conv2d(128, 64, 1, bias=False), nn.BatchNorm2d(64))
        self.head = nn.Conv2d(64, heads, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = torch.relu(x + self.project(self.expand(self.depthwise(x))))
        return self.head(F.interpolate(x, scale_factor=2, mode="nearest"))


WORKLOADS = {  # of the tiny network, worked out by hand
    "onnxruntime": ["conv2d"] * 4 + ["upsample_nearest", "conv2d"],
    "torch": [
        *("conv2d", "batch_norm", "activation") * 3,
        *("conv2d", "batch_norm", "add", "activation", "upsample_nearest", "conv2d"),
    ],
}


def tiny(heads: int = 1) -> tuple[Tiny, Tensor]:
    """The network in eval mode and an example input."""
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        model = Tiny(heads)
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                assert module.running_mean is not None
                nn.init.uniform_(module.running_mean, -0.5, 0.5)
                nn.init.uniform_(module.weight, 0.5, 1.5)
        return model.eval(), torch.rand(1, 3, 64, 64)
