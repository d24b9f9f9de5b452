"""Networks small enough to be worked out by hand, with the answers."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from netadapt.pruning import PrunableModel, trace

FIXED = ""  # in the place of a group: channels that are always there
Reads = Mapping[str, Sequence[tuple[str, int]]]


@dataclass(frozen=True, eq=False)
class Network:
    """A network and what is known of it.

    Attributes:
        build: makes it.
        groups: the producers of each of its groups.
        reads: for each layer that mixes channels, the groups whose channels it reads, in
            order, and how many positions each channel takes there.
        shape: of its input.
    """

    build: Callable[[], nn.Module]
    groups: Mapping[str, tuple[str, ...]]
    reads: Reads
    shape: tuple[int, ...] = (2, 3, 8, 8)

    def __str__(self) -> str:
        return self.build.__name__


class Residual(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.branch = nn.Conv2d(8, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.head = nn.Conv2d(8, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        return self.head(F.relu(x + self.norm(self.branch(x))))


class Separable(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 1)
        self.depthwise = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.norm = nn.BatchNorm2d(8)
        self.head = nn.Conv2d(8, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.relu(self.norm(self.depthwise(F.relu6(self.stem(x))))))


class Concatenation(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.left = nn.Conv2d(3, 6, 3, padding=1)
        self.right = nn.Conv2d(3, 10, 1)
        self.norm = nn.BatchNorm2d(16)
        self.head = nn.Conv2d(16, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.relu(self.norm(torch.cat([self.left(x), self.right(x)], 1))))


class Flattening(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.hidden = nn.Linear(8 * 16, 12)
        self.head = nn.Linear(12, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = F.max_pool2d(F.relu(self.stem(x)), 2)
        return self.head(F.relu(self.hidden(x.flatten(1))))


class Transposed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.widen = nn.ConvTranspose2d(8, 6, 2, 2)
        self.norm = nn.BatchNorm2d(6, affine=False)
        self.slope = nn.PReLU(6)
        self.head = nn.Conv2d(6, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.slope(self.norm(self.widen(F.relu(self.stem(x))))))


class SqueezeExcite(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.squeeze = nn.Conv2d(8, 4, 1)
        self.excite = nn.Conv2d(4, 8, 1)
        self.head = nn.Conv2d(8, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.stem(x))
        gate = self.excite(F.relu(self.squeeze(x.mean((2, 3), keepdim=True))))
        return self.head(x * gate.sigmoid())


class CalledTwice(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.again = nn.Conv2d(8, 8, 3, padding=1)
        self.head = nn.Conv2d(8, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.relu(self.again(F.relu(self.again(F.relu(self.stem(x)))))))


class TwoHeads(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.depth = nn.Conv2d(8, 1, 1)
        self.normals = nn.Conv2d(8, 3, 1)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        x = torch.tanh(self.stem(x))
        return {"depth": self.depth(x), "normals": self.normals(x)}


class DenseBlock(nn.Module):
    """Every layer reads the image, a constant, and all before it."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("constant", torch.rand(1, 1, 8, 8))
        self.first = nn.Conv2d(4, 6, 3, padding=1)
        self.second = nn.Conv2d(10, 5, 3, padding=1)
        self.norm = nn.InstanceNorm2d(5, affine=True)
        self.head = nn.Conv2d(15, 2, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, ...]:
        x = torch.cat([x, self.constant.expand(len(x), 1, 8, 8)], 1)
        x = torch.cat([F.relu(self.first(x)), x], 1)
        x = torch.cat([x, F.relu(self.norm(self.second(x)))], 1)
        return (self.head(x),)


class DepthMultiplier(nn.Module):
    """Three channels out of each; the first layer's single channel is no depthwise one."""

    def __init__(self) -> None:
        super().__init__()
        self.single = nn.Conv2d(3, 1, 3, padding=1)
        self.stem = nn.Conv2d(1, 4, 3, padding=1)
        self.depthwise = nn.Conv2d(4, 12, 3, padding=1, groups=4)
        self.head = nn.Conv2d(12, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(F.relu(self.depthwise(F.relu(self.stem(self.single(x))))))


def _one(group: str) -> tuple[tuple[str, int], ...]:
    return ((group, 1),)


NETWORKS = (
    Network(Residual, {"stem": ("stem", "branch")}, {"branch": _one("stem"), "head": _one("stem")}),
    Network(
        Separable,
        {"stem": ("stem", "depthwise")},
        {"depthwise": _one("stem"), "head": _one("stem")},
    ),
    Network(
        Concatenation,
        {"left": ("left",), "right": ("right",)},
        {"head": (("left", 1), ("right", 1))},
    ),
    Network(
        Flattening,
        {"stem": ("stem",), "hidden": ("hidden",)},
        {"hidden": (("stem", 16),), "head": _one("hidden")},
    ),
    Network(
        Transposed,
        {"stem": ("stem",), "widen": ("widen",)},
        {"widen": _one("stem"), "head": _one("widen")},
    ),
    Network(
        SqueezeExcite,
        {"stem": ("stem", "excite"), "squeeze": ("squeeze",)},
        {"squeeze": _one("stem"), "excite": _one("squeeze"), "head": _one("stem")},
    ),
    Network(
        CalledTwice, {"stem": ("stem", "again")}, {"again": _one("stem"), "head": _one("stem")}
    ),
    Network(
        DenseBlock,
        {"first": ("first",), "second": ("second",)},
        {
            "second": (("first", 1), (FIXED, 4)),
            "head": (("first", 1), (FIXED, 4), ("second", 1)),
        },
    ),
    Network(DepthMultiplier, {"stem": ("stem", "depthwise")}, {"head": (("stem", 3),)}),
    Network(TwoHeads, {"stem": ("stem",)}, {"depth": _one("stem"), "normals": _one("stem")}),
)


def built(network: Network, seed: int = 0) -> nn.Module:
    """The network in eval mode, its batch norms away from the identity."""
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        return random_norms(network.build())


def random_norms(model: nn.Module) -> nn.Module:
    """Move batch norms away from the identity; the network is then in eval mode."""
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            assert module.running_var is not None
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            if module.affine:
                nn.init.uniform_(module.weight, 0.5, 1.5)
                nn.init.uniform_(module.bias, -0.5, 0.5)
        elif isinstance(module, nn.PReLU):
            nn.init.uniform_(module.weight, 0.1, 0.5)
    return model.eval()


def example(shape: Sequence[int], seed: int = 0) -> Tensor:
    return torch.rand(tuple(shape), generator=torch.Generator().manual_seed(seed))


@cache
def traced(network: Network) -> PrunableModel:
    """The network, traced in float64. It is shared: change nothing."""
    return trace(built(network).double(), example(network.shape).double())


@contextmanager
def removed_channels_zeroed(
    model: nn.Module, reads: Reads, stays: Mapping[str, NDArray[np.bool_]]
) -> Iterator[None]:
    """While open, every layer in ``reads`` sees zeros where a channel does not stay."""

    def zeroing(mask: Tensor) -> Callable[[nn.Module, tuple[Tensor]], Tensor]:
        def hook(_: nn.Module, args: tuple[Tensor]) -> Tensor:
            (given,) = args
            shape = (1, -1, *(1,) * (given.dim() - 2))
            return given * mask.to(given.dtype).reshape(shape)

        return hook

    handles = []
    for name, groups in reads.items():
        mask = np.concatenate(
            [
                np.repeat(stays[group], times) if group else np.ones(times, dtype=bool)
                for group, times in groups
            ]
        )
        handles.append(
            model.get_submodule(name).register_forward_pre_hook(zeroing(torch.from_numpy(mask)))
        )
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def flat(output: Tensor | dict[str, Tensor] | tuple[Tensor, ...]) -> Tensor:
    if isinstance(output, Tensor):
        return output.flatten()
    parts = output.values() if isinstance(output, dict) else output
    return torch.cat([part.flatten() for part in parts])
