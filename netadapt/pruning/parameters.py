"""Bare parameters that hold a value for each channel: layer scales, position embeddings, tokens.

They belong to no layer that has rules, so a group's places name them directly:
``blocks.0.gamma@0`` is side 0 of the parameter ``gamma`` of module ``blocks.0``.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from netadapt.pruning.folding import CONVOLUTIONS
from netadapt.pruning.streams import is_stream_norm

SIDE = "@"
LARGEST = 2**22  # numbers of a parameter that is followed: tables of words are not
WITH_RULES = (*CONVOLUTIONS, nn.Linear, _NormBase, nn.GroupNorm, nn.PReLU)


@dataclass(frozen=True)
class Portion:
    """The part of a bare parameter that a constant holds.

    Attributes:
        name: name of the parameter.
        sizes: shape of the parameter.
        numbers: for every number of the constant, its place in the flattened parameter.
    """

    name: str
    sizes: tuple[int, ...]
    numbers: Tensor

    def along(self, dim: int) -> tuple[int, Tensor] | None:
        """Return a side of the parameter, and where along it each position of ``dim`` lies.

        ``None`` if the positions of ``dim`` are not those of a side.
        """
        rows = self.numbers.movedim(dim, 0).reshape(self.numbers.shape[dim], -1)
        stride = 1
        for side in reversed(range(len(self.sizes))):
            places = rows // stride % self.sizes[side]
            stride *= self.sizes[side]
            if self.sizes[side] > 1 and bool((places == places[:, :1]).all()):
                return side, places[:, 0]
        return None


def bare_parameters(modules: Mapping[str, nn.Module]) -> dict[int, str]:
    """Return the names of parameters that belong to no layer with rules of its own, by ``id``.

    A parameter that several modules share is left out, since it cannot be cut. So are large ones.
    """
    names: dict[int, list[str]] = {}
    ruled: set[int] = set()
    for path, module in modules.items():
        for name, parameter in module._parameters.items():
            if parameter is not None and parameter.numel() <= LARGEST:
                names.setdefault(id(parameter), []).append(f"{path}.{name}" if path else name)
                if isinstance(module, WITH_RULES) or is_stream_norm(module):
                    ruled.add(id(parameter))
    return {key: found[0] for key, found in names.items() if len(found) == 1 and key not in ruled}


def is_bare(place: str) -> bool:
    """Whether ``place`` is a side of a bare parameter, not a module."""
    return SIDE in place


def side_of(name: str, side: int) -> str:
    """Return the name of one side of a parameter."""
    return f"{name}{SIDE}{side}"


def split(place: str) -> tuple[str, str, int]:
    """Return the module, the parameter in it and the side of a place that ``side_of`` named."""
    path, _, side = place.rpartition(SIDE)
    module, _, name = path.rpartition(".")
    return module, name, int(side)


def cut_parameter(model: nn.Module, place: str, removed: Tensor) -> None:
    """Remove positions from a side of a bare parameter, in place."""
    path, name, side = split(place)
    owner = model.get_submodule(path)
    parameter = owner._parameters[name]
    assert parameter is not None
    before = parameter.shape[side]
    stays = torch.ones(before, dtype=torch.bool)
    stays[removed] = False
    index = stays.nonzero()[:, 0].to(parameter.device)
    smaller = parameter.detach().index_select(side, index).clone()
    setattr(owner, name, nn.Parameter(smaller, requires_grad=parameter.requires_grad))
    for attribute, value in list(vars(owner).items()):  # a shape it is viewed as
        if attribute.endswith("shape") and isinstance(value, tuple) and value[-1:] == (before,):
            setattr(owner, attribute, (*value[:-1], smaller.shape[side]))
