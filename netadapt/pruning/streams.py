"""Norms over all channels of a stream: with fewer channels, mean and deviation change.

LayerNorm, RMSNorm and a GroupNorm of one group compute their statistics over all channels that
they read, so removing some channels changes the others. Pruning is exact in this sense: the pruned
network gives the same output as the whole one with statistics *over the channels that stay*.
"""

import copy
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

REMEDY = " (--allow-approximate prunes them)"


def is_stream_norm(module: Any) -> bool:
    """Whether ``module`` standardises all of its channels together, and can do so with fewer."""
    if isinstance(module, nn.GroupNorm):
        return module.num_groups == 1
    if isinstance(module, nn.LayerNorm):
        return len(module.normalized_shape) == 1
    if (
        not isinstance(module, nn.Module)
        or isinstance(module, _NormBase)
        or list(module.children())
    ):
        return False
    kind = type(module).__name__.lower()
    own = [p for p in module._parameters.values() if p is not None]
    named = any(word in kind for word in ("layernorm", "rmsnorm", "layer_norm", "rms_norm"))
    alike = all(p.numel() == max(p.shape, default=1) == channels_of(module) for p in own)
    return named and alike and channels_of(module) > 0


def cut_norm(module: Any, gone: NDArray[np.intp]) -> None:
    """Remove channels from a norm, in place."""
    before = channels_of(module)
    left = before - len(gone)
    for name, parameter in module._parameters.items():
        if parameter is None:
            continue
        side = int(np.argmax(parameter.shape))
        stays = np.delete(np.arange(before), gone)
        index = torch.from_numpy(stays).to(parameter.device)
        smaller = parameter.detach().index_select(side, index).clone()
        setattr(module, name, nn.Parameter(smaller, requires_grad=parameter.requires_grad))
    for name, value in list(vars(module).items()):
        if type(value) is int and value == before:
            setattr(module, name, left)
        elif isinstance(value, tuple) and value == (before,):
            setattr(module, name, (left,))


def channels_of(module: Any) -> int:
    """Return the number of channels that a norm standardises together."""
    shape = getattr(module, "normalized_shape", None)
    if isinstance(shape, Sequence) and len(shape) == 1:
        return int(shape[0])
    if isinstance(module, nn.GroupNorm):
        return module.num_channels
    sizes = [p.numel() for p in module._parameters.values() if p is not None]
    return max(sizes, default=0)


def channel_dim(norm: Any) -> int:
    """Return the dimension of the channels that a norm standardises together."""
    second = "2d" in type(norm).__name__.lower() or isinstance(norm, nn.GroupNorm)
    return 1 if second or getattr(norm, "data_format", "") == "channels_first" else -1


class OverKept(nn.Module):
    """A norm whose statistics are those of the channels that stay; the other outputs are 0.

    Args:
        norm: the whole norm.
        gone: the channels that are left out.
    """

    def __init__(self, norm: nn.Module, gone: NDArray[np.intp]) -> None:
        super().__init__()
        self.kept = np.delete(np.arange(channels_of(norm)), gone)
        self.norm, self.dim = copy.deepcopy(norm), channel_dim(norm)
        cut_norm(self.norm, gone)

    def forward(self, x: Tensor) -> Tensor:
        """Return the shape of ``x``."""
        index = torch.from_numpy(self.kept).to(x.device)
        smaller = self.norm(x.index_select(self.dim, index))
        return torch.zeros_like(x).index_copy(self.dim, index, smaller)
