"""Cutting channels out of modules: the only place that knows how a layer stores them."""

import copy
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils import parametrize

Keep = NDArray[np.intp]
Side = Literal["out", "in"]


@dataclass(frozen=True)
class Slot:
    """One side of one module that carries a group's channels.

    ``indices[c]`` are the ``(k,)`` positions that channel ``c`` of the group holds there
    (more than one behind a flattening).
    """

    module: str
    side: Side
    indices: NDArray[np.intp]


def refusal(module: nn.Module) -> str | None:
    """Return why channels cannot be cut out of ``module``, or ``None`` if they can."""
    if parametrize.is_parametrized(module):
        return "is parametrised"
    if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d):
        if module.groups > 1 and not is_depthwise(module):
            return "is a grouped convolution that is not depthwise"
        return None
    if isinstance(module, nn.ConvTranspose2d):
        return None if module.groups == 1 else "is a grouped transposed convolution"
    if isinstance(module, nn.Linear | _BatchNorm | nn.PReLU):
        return None
    return f"is a {type(module).__name__}, from which no channel can be cut"


def is_depthwise(module: nn.Module) -> bool:
    """Whether ``module`` is a convolution with one input and one output channel a group."""
    return (
        isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d)
        and module.groups > 1
        and module.groups == module.in_channels == module.out_channels
    )


def cut(model: nn.Module, slots: Mapping[str, Sequence[Slot]], kept: Mapping[str, Keep]) -> None:
    """Keep only the ``kept`` channels of each group, in place.

    Args:
        model: the network to cut.
        slots: for each group, where its channels lie.
        kept: for each group, the channels that stay, ascending.
    """
    removed = _removed(slots, kept)
    for name in {name for name, _ in removed}:
        module = model.get_submodule(name)
        _cut_module(module, removed.get((name, "out")), removed.get((name, "in")))


@contextmanager
def temporarily_cut(
    model: nn.Module, slots: Mapping[str, Sequence[Slot]], kept: Mapping[str, Keep]
) -> Iterator[None]:
    """``cut`` within the context; ``model`` is as it was after it."""
    touched = {slot.module for group in kept for slot in slots[group]}
    modules = [model.get_submodule(name) for name in touched]
    before = [(dict(m.__dict__), dict(m._parameters), dict(m._buffers)) for m in modules]
    try:
        cut(model, slots, kept)
        yield
    finally:
        for module, (attributes, parameters, buffers) in zip(modules, before, strict=True):
            module.__dict__.update(attributes)
            module._parameters.update(parameters)
            module._buffers.update(buffers)


def structural_copy(model: nn.Module) -> nn.Module:
    """Return a copy with modules of its own that shares every tensor with ``model``."""
    shared = [*model.parameters(), *model.buffers()]
    return copy.deepcopy(model, {id(tensor): tensor for tensor in shared})


def masked(
    model: nn.Module, slots: Mapping[str, Sequence[Slot]], kept: Mapping[str, Keep]
) -> nn.Module:
    """Return a copy of ``model`` that ignores the channels ``cut`` would remove.

    Every layer that reads a removed channel reads it with zero weights, so the output is
    what the cut network must give.
    """
    model = copy.deepcopy(model)
    for (name, side), positions in _removed(slots, kept).items():
        module = model.get_submodule(name)
        if side == "in":
            weight = module.weight
            assert isinstance(weight, Tensor)
            with torch.no_grad():
                index = torch.from_numpy(positions).to(weight.device)
                weight.index_fill_(_input_dim(module), index, 0.0)
    return model


def _removed(
    slots: Mapping[str, Sequence[Slot]], kept: Mapping[str, Keep]
) -> dict[tuple[str, str], Keep]:
    removed: dict[tuple[str, str], list[Keep]] = defaultdict(list)
    for group, channels in kept.items():
        for slot in slots[group]:
            gone = np.delete(slot.indices, channels, axis=0).ravel()
            if len(gone):
                removed[slot.module, slot.side].append(gone)
    return {key: np.unique(np.concatenate(parts)) for key, parts in removed.items()}


def _cut_module(module: nn.Module, out: Keep | None, inside: Keep | None) -> None:
    if isinstance(module, nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.ConvTranspose2d):
        _cut_convolution(module, out, inside)
    elif isinstance(module, nn.Linear):
        _cut_tensors(module, ("weight", "bias"), 0, out)
        _cut_tensors(module, ("weight",), 1, inside)
        module.out_features, module.in_features = module.weight.shape
    elif isinstance(module, _BatchNorm):
        _cut_tensors(module, ("weight", "bias", "running_mean", "running_var"), 0, out)
        if out is not None:
            module.num_features -= len(out)
    elif isinstance(module, nn.PReLU):
        if module.num_parameters > 1:
            _cut_tensors(module, ("weight",), 0, out)
            module.num_parameters = len(module.weight)
    else:
        raise TypeError(f"no channels can be cut out of {type(module).__name__}")


def _cut_convolution(
    module: nn.Conv1d | nn.Conv2d | nn.Conv3d | nn.ConvTranspose2d,
    out: Keep | None,
    inside: Keep | None,
) -> None:
    if is_depthwise(module):
        _cut_tensors(module, ("weight", "bias"), 0, out)
        module.groups = module.in_channels = module.out_channels = len(module.weight)
        return
    _cut_tensors(module, ("weight",), 1 - _input_dim(module), out)
    _cut_tensors(module, ("bias",), 0, out)
    _cut_tensors(module, ("weight",), _input_dim(module), inside)
    module.in_channels = module.weight.shape[_input_dim(module)]
    module.out_channels = module.weight.shape[1 - _input_dim(module)]


def _input_dim(module: nn.Module) -> int:
    return 0 if isinstance(module, nn.ConvTranspose2d) else 1


def _cut_tensors(module: nn.Module, names: Sequence[str], dim: int, removed: Keep | None) -> None:
    if removed is None:
        return
    for name in names:
        tensor = getattr(module, name)
        if tensor is None:
            continue
        stays = np.delete(np.arange(tensor.shape[dim]), removed)
        index = torch.from_numpy(stays).to(tensor.device)
        smaller = tensor.detach().index_select(dim, index).clone()
        if isinstance(tensor, nn.Parameter):
            setattr(module, name, nn.Parameter(smaller, requires_grad=tensor.requires_grad))
        else:
            setattr(module, name, smaller)
