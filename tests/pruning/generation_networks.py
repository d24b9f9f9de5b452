"""Networks that are pruned, saved, loaded and pruned again; built by name, so one factory each."""

import torch
from torch import Tensor, nn


class Split(nn.Module):
    """A layer split by what the layers behind it read: two groups in one layer."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(3, 24, 3, padding=1)
        self.b = nn.Conv2d(8, 8, 3, padding=1)
        self.c = nn.Conv2d(16, 8, 3, padding=1)
        self.head = nn.Conv2d(16, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        left, right = torch.split(self.a(x).relu(), [self.b.in_channels, self.c.in_channels], 1)
        return self.head(torch.cat([self.b(left), self.c(right)], 1).relu())


class Slice(nn.Module):
    """Three slices of one layer, the second of which meets another layer."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(3, 24, 3, padding=1)
        self.b = nn.Conv2d(6, 8, 1)
        self.c = nn.Conv2d(10, 8, 1)
        self.d = nn.Conv2d(8, 8, 1)
        self.beside = nn.Conv2d(3, 10, 1)
        self.head = nn.Conv2d(24, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.a(x).relu()
        first, second = self.b.in_channels, self.b.in_channels + self.c.in_channels
        parts = [
            self.b(y[:, :first]),
            self.c(y[:, first:second] + self.beside(x)),
            self.d(y[:, second:]),
        ]
        return self.head(torch.cat(parts, 1).relu())


class Concat(nn.Module):
    """A concat of two layers, read whole, and later in parts."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(3, 8, 3, padding=1)
        self.b = nn.Conv2d(3, 12, 1)
        self.norm = nn.BatchNorm2d(20)
        self.c = nn.Conv2d(20, 16, 1)
        self.d = nn.Conv2d(8, 6, 1)
        self.head = nn.Conv2d(22, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.norm(torch.cat([self.a(x), self.b(x)], 1)).relu()
        near = self.d(y[:, : self.d.in_channels])
        return self.head(torch.cat([self.c(y).relu(), near], 1))


class Grouped(nn.Module):
    """A grouped convolution, which looks depthwise once each of its groups reads one channel."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(3, 16, 3, padding=1)
        self.b = nn.Conv2d(16, 24, 3, padding=1, groups=4)
        self.c = nn.Conv2d(12, 8, 1)
        self.d = nn.Conv2d(12, 8, 1)
        self.head = nn.Conv2d(16, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        left, right = self.b(self.a(x).relu()).relu().chunk(2, 1)
        return self.head(torch.cat([self.c(left), self.d(right)], 1).relu())
