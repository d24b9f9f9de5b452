"""What foreign code does in ``forward``, one function each, between two layers or behind them."""

from collections import OrderedDict, deque, namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Features = Callable[[Tensor], Tensor]


class Between(nn.Module):
    """Two layers, whatever is between them, a head."""

    def __init__(self, middle: Features, channels: int = 12) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 12, 3, padding=1)
        self.after = nn.Conv2d(channels, 8, 1)
        self.head = nn.Conv2d(8, 1, 1)
        self.middle = middle

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.after(self.middle(self.stem(x).relu())).relu())


class Giving(nn.Module):
    """A layer and a head; what it gives is up to ``output``."""

    def __init__(self, output: Callable[[Tensor, Tensor], Any]) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 12, 3, padding=1)
        self.head = nn.Conv2d(12, 1, 1)
        self.output = output

    def forward(self, x: Tensor) -> Any:
        y = self.stem(x).relu()
        return self.output(y, self.head(y))


# ---- a type fixed in forward


def autocast(y: Tensor) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        mixed = F.conv2d(y, torch.ones(1, y.shape[1], 1, 1, dtype=y.dtype))
    return y * mixed.float().mean().sigmoid()


def sampled(y: Tensor) -> Tensor:
    line = torch.linspace(-1, 1, y.shape[-1])
    grid = torch.stack(torch.meshgrid(line, line, indexing="xy"), -1)[None]
    return F.grid_sample(y, grid.expand(len(y), -1, -1, -1), align_corners=True)


def ramp(y: Tensor) -> Tensor:
    return y * torch.arange(y.shape[-1], dtype=torch.float32)


def softmax_in_float(y: Tensor) -> Tensor:
    return y * y.flatten(2).softmax(-1, dtype=torch.float32).reshape(y.shape).to(y.dtype)


def position(y: Tensor) -> Tensor:
    return y + torch.sin(torch.arange(y.shape[2], dtype=torch.float32))[:, None]


def half_and_back(y: Tensor) -> Tensor:
    return y.half().float() * 2


def numbers(y: Tensor) -> Tensor:
    return y * torch.tensor([0.5]) + torch.tensor(1.0)


TYPES = (
    autocast, sampled, ramp, softmax_in_float, position, half_and_back, numbers,
)  # fmt: skip


# ---- constants written in place


def added(y: Tensor) -> Tensor:
    z = torch.zeros(y.shape)
    z += y
    return z


def copied(y: Tensor) -> Tensor:
    z = torch.zeros(y.shape)
    z[:] = y
    return z


def copied_into_new(y: Tensor) -> Tensor:
    z = y.new_zeros(y.shape)
    z[:, :, 1:] = y[:, :, :-1]
    return z


def rows_in_turn(y: Tensor) -> Tensor:
    z = torch.empty_like(y)
    for row in range(y.shape[2]):
        z[:, :, row] = y[:, :, row] * (row + 1)
    return z


def cost_volume(y: Tensor) -> Tensor:
    z = torch.zeros(len(y), y.shape[1], 3, *y.shape[2:])
    for shift in range(3):
        z[:, :, shift, :, shift:] = y[..., : y.shape[-1] - shift]
    return z.mean(2)


def halves_of_a_constant(y: Tensor) -> Tensor:
    z = torch.zeros(len(y), 2 * y.shape[1], *y.shape[2:])
    z[:, : y.shape[1]] = y
    z[:, y.shape[1] :] = -y
    return z[:, : y.shape[1]] + z[:, y.shape[1] :]


def out_argument(y: Tensor) -> Tensor:
    z = torch.zeros(y.shape)
    z.add_(y, alpha=2).mul_(0.5).clamp_(0, 1)
    return z


def transposed_in_place(y: Tensor) -> Tensor:
    return y.clone().transpose_(2, 3)


def filled(y: Tensor) -> Tensor:
    z = torch.full(y.shape, 0.5)
    z.copy_(y)
    z[..., 0] = 0
    return z


WRITTEN = (
    added, copied, copied_into_new, rows_in_turn, cost_volume, halves_of_a_constant, out_argument,
    transposed_in_place, filled,
)  # fmt: skip


# ---- what holds for some widths or for some choices of channels only


def rolled(y: Tensor) -> Tensor:
    return torch.roll(y, 1, 1)


def rolled_back(y: Tensor) -> Tensor:
    return torch.roll(y, -5, 1)


def halves_swapped(y: Tensor) -> Tensor:
    half = y.shape[1] // 2
    return torch.cat([y[:, half:], y[:, :half]], 1)


def half_scaled(y: Tensor) -> Tensor:
    half = y.shape[1] // 2
    return torch.cat([y[:, :half] * 2, y[:, half:]], 1)


def every_second(y: Tensor) -> Tensor:
    return torch.cat([y[:, ::2], y[:, 1::2] * 2], 1)


def scaled_by_width(y: Tensor) -> Tensor:
    return y * y.shape[1]


def other_way_when_narrow(y: Tensor) -> Tensor:
    return y if y.shape[1] > 3 else y * 2


def last_channel(y: Tensor) -> Tensor:
    return y * y[:, -1:]


def sorted_channels(y: Tensor) -> Tensor:
    return y.sort(1).values


def fixed_order(y: Tensor) -> Tensor:
    return y[:, torch.arange(y.shape[1] - 1, -1, -1) - 1]


def shuffled(y: Tensor) -> Tensor:
    return y.reshape(len(y), 2, -1, *y.shape[2:]).transpose(1, 2).flatten(1, 2)


def shifted(y: Tensor) -> Tensor:
    return torch.cat([y[:, 1:], y[:, :1]], 1)


CHOICES = (
    rolled, rolled_back, halves_swapped, half_scaled, every_second, scaled_by_width,
    other_way_when_narrow, last_channel, sorted_channels, fixed_order, shuffled, shifted,
)  # fmt: skip


# ---- integers and comparisons


def brightest(y: Tensor, depth: Tensor) -> Any:
    return depth, depth.flatten(1).argmax(1).unsqueeze(1)


def counts(y: Tensor, depth: Tensor) -> Any:
    return depth, (depth > -99).long().sum((2, 3)).clamp(max=7).view(-1)


def stacked(y: Tensor, depth: Tensor) -> Any:
    place = depth.flatten(1).argmin(1)
    return depth, torch.stack([place, place + 1], 1)[:, :1]


def nonzero(y: Tensor, depth: Tensor) -> Any:
    return depth, (depth > 0).nonzero()[:1]


def picked(y: Tensor, depth: Tensor) -> Any:
    place = depth.flatten(1).argmax(1)
    return depth, depth.flatten(1).gather(1, place[:, None])


def rows_by_value(y: Tensor, depth: Tensor) -> Any:
    return depth.flatten(2).index_select(2, depth[0].flatten().argsort()[:4])


def levels(y: Tensor, depth: Tensor) -> Any:
    return depth, (depth * 10).int().flip(3).repeat(1, 2, 1, 1)


def best(y: Tensor, depth: Tensor) -> Any:
    return depth, depth.flatten(1).topk(3).indices


INTEGERS = (
    brightest, counts, stacked, nonzero, picked, rows_by_value, levels, best,
)  # fmt: skip


# ---- features inside of objects


@dataclass
class Depth:
    depth: Tensor
    features: Tensor


class Slotted:
    __slots__ = ("depth", "features")

    def __init__(self, depth: Tensor, features: Tensor) -> None:
        self.depth, self.features = depth, features


Pair = namedtuple("Pair", "depth features")


class ModelOutput(OrderedDict[str, Tensor]):
    """As Hugging Face's: a dictionary with attributes."""

    def __init__(self, **values: Tensor) -> None:
        super().__init__(values)
        self.__dict__.update(values)


class Deep:
    def __init__(self, depth: Tensor, features: Tensor) -> None:
        self.parts = {"all": [SimpleNamespace(depth=depth, features=features)]}
        self.itself = self


OBJECTS = (
    lambda y, d: Depth(d, y),
    lambda y, d: SimpleNamespace(depth=d, features=y),
    lambda y, d: Slotted(d, y),
    lambda y, d: Pair(d, y),
    lambda y, d: ModelOutput(depth=d, features=y),
    lambda y, d: Deep(d, y),
    lambda y, d: [Depth(d, y), None, 3],
    lambda y, d: deque([d, y]),
    lambda y, d: {"depth": d, "features": y}.values(),
    lambda y, d: {"one": (d, [y])},
    lambda y, d: (d, y.flatten(1)),
    lambda y, d: frozenset([d, y]),
)


# ---- layers of training only


class Auxiliary(nn.Module):
    """A second head, in training."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 12, 3, padding=1)
        self.head = nn.Conv2d(12, 1, 1)
        self.aux = nn.Sequential(nn.Conv2d(12, 6, 1), nn.BatchNorm2d(6), nn.Conv2d(6, 1, 1))

    def forward(self, x: Tensor) -> Any:
        y = self.stem(x).relu()
        return (self.head(y), self.aux(y)) if self.training else self.head(y)


class AuxiliaryWeight(Auxiliary):
    """Reads features with a bare parameter, in training."""

    def __init__(self) -> None:
        super().__init__()
        self.probe = nn.Parameter(torch.rand(1, 12, 1, 1))

    def forward(self, x: Tensor) -> Any:
        y = self.stem(x).relu()
        return (
            self.head(y) + (y * self.probe).sum(1, keepdim=True) if self.training else self.head(y)
        )


class Targets(Auxiliary):
    """Asks for targets in training."""

    def forward(self, x: Tensor, targets: Tensor | None = None) -> Any:
        y = self.stem(x).relu()
        if not self.training:
            return self.head(y)
        if targets is None:
            raise ValueError("targets should not be None in training")
        return (self.aux(y) - targets).square().mean()


class SecondInput(nn.Module):
    """Adds what a second input gives, where there is one."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 12, 3, padding=1)
        self.hint = nn.Conv2d(1, 12, 1)
        self.head = nn.Conv2d(12, 1, 1)

    def forward(self, x: Tensor, hint: Tensor | None = None) -> Tensor:
        y = self.stem(x).relu()
        return self.head(y if hint is None else y + self.hint(hint))


class Teacher(Auxiliary):
    """Gives its features away in training."""

    def forward(self, x: Tensor) -> Any:
        y = self.stem(x).relu()
        return (self.head(y), y) if self.training else self.head(y)


class Flagged(nn.Module):
    """An auxiliary head of a part of the network, which has a flag of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.part = Auxiliary()

    def forward(self, x: Tensor) -> Any:
        found = self.part(x)
        return {"depth": found[0], "aux": found[1]} if self.training else found


class Dropping(Auxiliary):
    """Drops features by hand, in training."""

    def forward(self, x: Tensor) -> Any:
        y = F.dropout(self.stem(x).relu(), 0.5, training=self.training)
        return self.head(F.dropout2d(y, 0.1, training=self.training))


class Later(Auxiliary):
    """Its second head runs once something has been learnt."""

    def __init__(self) -> None:
        super().__init__()
        self.steps = 0

    def forward(self, x: Tensor) -> Any:
        y = self.stem(x).relu()
        self.steps += self.training
        return (self.head(y), self.aux(y)) if self.steps > 1 else self.head(y)


class WithGradients(Auxiliary):
    """Its second head runs where there are gradients."""

    def forward(self, x: Tensor) -> Any:
        y = self.stem(x).relu()
        return (self.head(y), self.aux(y)) if torch.is_grad_enabled() else self.head(y)


TRAINING = (
    Later,
    WithGradients,
    Dropping,
    Auxiliary,
    AuxiliaryWeight,
    Targets,
    SecondInput,
    Teacher,
    Flagged,
)
