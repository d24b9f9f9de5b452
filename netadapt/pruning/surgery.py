"""Cuts channels out of modules: the only place that knows how a layer stores them."""

import copy
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from netadapt.pruning.attention import PlainAttention, is_replaceable, self_attentions
from netadapt.pruning.examples import Example
from netadapt.pruning.folding import CONVOLUTIONS, TRANSPOSED, fold, fold_all
from netadapt.pruning.heads import cut_heads
from netadapt.pruning.parameters import cut_parameter, is_bare, split
from netadapt.pruning.streams import OverKept, cut_norm, is_stream_norm

Keep = NDArray[np.intp]
Side = Literal["out", "in"]
KEEPS_GROUPS = "netadapt_keeps_groups"  # an attribute of grouped convolutions that were cut


@dataclass(frozen=True)
class Slot:
    """One side of one module that carries a group's channels.

    ``indices[c]`` are the ``(k,)`` positions that the ``c``-th of the group's steps holds there
    (more than one behind a flattening, in a grouped convolution, ...).
    """

    module: str
    side: Side
    indices: NDArray[np.intp]


def passes_channels(module: nn.Module) -> bool:
    """Whether ``module`` is a convolution whose groups read, or write, one channel each.

    These are depthwise convolutions, with a depth multiplier or without: a channel of the input can
    only be removed together with its group and the channels written from it. A grouped convolution
    that was cut until its groups read one channel each is none: its number of groups stays.
    """
    return (
        isinstance(module, CONVOLUTIONS)
        and module.groups > 1
        and not getattr(module, KEEPS_GROUPS, False)
        and module.groups in (module.in_channels, module.out_channels)
    )


def cut(model: nn.Module, slots: Mapping[str, Sequence[Slot]], kept: Mapping[str, Keep]) -> None:
    """Keep only the ``kept`` channels of each group, in place.

    A layer that computes its weight becomes a plain one first (see ``folding``).

    Args:
        model: the network to cut.
        slots: for each group, where its channels lie.
        kept: for each group, the rows of its slots that stay, ascending.

    Raises:
        UserError: a layer computes its weight in a way that no plain layer can reproduce.
    """
    removed = removed_channels(slots, kept)
    for name in dict.fromkeys(name for name, _ in removed):
        if is_bare(name):
            cut_parameter(model, name, torch.from_numpy(removed[name, "out"]))
            continue
        module = fold(model, name)
        _cut_module(module, removed.get((name, "out")), removed.get((name, "in")))


def parameter_shapes(
    model: nn.Module, slots: Mapping[str, Sequence[Slot]], kept: Mapping[str, Keep]
) -> dict[str, tuple[int, ...]]:
    """Return ``{parameter: shape}`` as after ``cut``; ``model`` has only plain layers.

    A parameter that several modules share is listed once.
    """
    shapes = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    removed = removed_channels(slots, kept)
    for name in dict.fromkeys(name for name, _ in removed):
        if is_bare(name):
            path, own_name, side = split(name)
            full = f"{path}.{own_name}" if path else own_name
            sides = list(shapes[full])
            sides[side] -= len(removed[name, "out"])
            shapes[full] = tuple(sides)
            continue
        module = copy.deepcopy(model.get_submodule(name))
        _cut_module(module, removed.get((name, "out")), removed.get((name, "in")))
        shapes |= {
            f"{name}.{own}": tuple(p.shape) for own, p in module.named_parameters(recurse=False)
        }
    return shapes


def structural_copy(model: nn.Module) -> nn.Module:
    """Return a copy that has its own modules and buffers and shares the parameters of ``model``."""
    return _copied(model, {id(parameter): parameter for parameter in model.parameters()})


def shapes_copy(model: nn.Module) -> nn.Module:
    """Return a plain copy on the meta device; what is shared stays shared."""
    plain = plain_copy(model)
    tensors = [*plain.parameters(), *plain.buffers()]
    return _copied(plain, {id(tensor): _without_values(tensor) for tensor in tensors})


def _without_values(tensor: Tensor) -> Tensor:
    empty = tensor.detach().to("meta")
    is_parameter = isinstance(tensor, nn.Parameter)
    return nn.Parameter(empty, tensor.requires_grad) if is_parameter else empty


def plain_copy(model: nn.Module) -> nn.Module:
    """Return a structural copy in which layers that compute their weight are plain.

    A layer that no plain one can replace stays as it is.
    """
    copied = structural_copy(model)
    fold_all(copied)
    return copied


def with_plain_attention(model: nn.Module, example: Example) -> nn.Module:
    """Return ``model``; one with ``nn.MultiheadAttention`` as a copy in which it is plain.

    The copy shares all tensors. Where queries, keys and values are made of different tensors of
    ``example``, as in cross-attention, each has a layer of its own.
    """
    if not any(is_replaceable(module) for module in model.modules()):
        return model
    tensors = [*model.parameters(), *model.buffers()]
    copied = _copied(model, {id(tensor): tensor for tensor in tensors})
    packed = self_attentions(structural_copy(copied).eval(), example)
    if is_replaceable(copied):
        return PlainAttention(copied, "" in packed)  # type: ignore[arg-type]
    for name, module in list(copied.named_modules()):
        if is_replaceable(module):
            copied.set_submodule(name, PlainAttention(module, name in packed))
    return copied


def independent_copy(model: nn.Module) -> nn.Module:
    """Return a copy with tensors of its own and without gradients."""
    copied = _copied(model, {})
    for parameter in copied.parameters():
        parameter.grad = None
    return copied


def _copied(model: nn.Module, memo: dict[int, Tensor]) -> nn.Module:
    for module in model.modules():
        for value in vars(module).values():  # deepcopy refuses what autograd computed
            if isinstance(value, Tensor) and value.grad_fn is not None:
                memo[id(value)] = value.detach().clone()
    return copy.deepcopy(model, memo)


def mask(model: nn.Module, slots: Mapping[str, Sequence[Slot]], kept: Mapping[str, Keep]) -> None:
    """Make ``model`` ignore the channels that ``cut`` would remove, in place.

    Every layer that reads a removed channel gets zero weights for it, so the cut network must give
    the same output. A norm over all channels of a stream computes its statistics over those that
    stay.
    """
    for (name, side), positions in removed_channels(slots, kept).items():
        if side == "out" and not is_bare(name) and is_stream_norm(model.get_submodule(name)):
            model.set_submodule(name, OverKept(model.get_submodule(name), positions))
        if side == "in":
            module = fold(model, name)
            weight = module.weight
            assert isinstance(weight, nn.Parameter)
            index = torch.from_numpy(_rows(module, positions)).to(weight.device)
            zeroed = weight.detach().index_fill(_input_dim(module), index, 0.0)
            module.weight = nn.Parameter(zeroed, requires_grad=weight.requires_grad)


@contextmanager
def undone(model: nn.Module) -> Iterator[None]:
    """While open, layers may be cut, masked and hooked; on leaving, all changes are undone."""
    attributes = [vars(module) for module in model.modules()]
    registries = [value for own in attributes for value in own.values() if isinstance(value, dict)]
    before = [(changing, dict(changing)) for changing in (*attributes, *registries)]
    try:
        yield
    finally:
        for changing, was in before:
            changing.clear()
            changing.update(was)


def removed_channels(
    slots: Mapping[str, Sequence[Slot]], kept: Mapping[str, Keep]
) -> dict[tuple[str, str], Keep]:
    """Return the positions to remove from the sides of modules, ascending."""
    removed: dict[tuple[str, str], list[Keep]] = defaultdict(list)
    for group, channels in kept.items():
        for slot in slots[group]:
            gone = np.delete(slot.indices, channels, axis=0).ravel()
            if len(gone):
                removed[slot.module, slot.side].append(gone)
    return {key: np.unique(np.concatenate(parts)) for key, parts in removed.items()}


def _cut_module(module: nn.Module, out: Keep | None, inside: Keep | None) -> None:
    if isinstance(module, CONVOLUTIONS):
        if passes_channels(module):
            _cut_passing(module, out)
        else:
            _cut_convolution(module, out, inside)
    elif isinstance(module, nn.Linear):
        _cut_tensors(module, ("weight", "bias"), 0, out)
        _cut_tensors(module, ("weight",), 1, inside)
        module.out_features, module.in_features = module.weight.shape
    elif isinstance(module, _NormBase):
        _cut_tensors(module, ("weight", "bias", "running_mean", "running_var"), 0, out)
        module.num_features -= _count(out)
    elif is_stream_norm(module):
        cut_norm(module, np.zeros(0, dtype=np.intp) if out is None else out)
    elif isinstance(module, nn.GroupNorm):
        channels = module.num_channels - _count(out)
        module.num_groups = module.num_groups * channels // module.num_channels
        module.num_channels = channels
        _cut_tensors(module, ("weight", "bias"), 0, out)
    elif isinstance(module, nn.PReLU):
        _cut_tensors(module, ("weight",), 0, out)
        module.num_parameters = len(module.weight)
    else:
        cut_heads(module, _count(out))


def _cut_convolution(module: Any, out: Keep | None, inside: Keep | None) -> None:
    """Cut equally many channels out of each of its groups; the number of groups stays."""
    read = _input_dim(module)
    if out is not None:
        each = module.out_channels // module.groups
        _cut_tensors(module, ("weight",), 1 - read, np.unique(out % each) if read == 0 else out)
        _cut_tensors(module, ("bias",), 0, out)
    if inside is not None:
        _cut_tensors(module, ("weight",), read, _rows(module, inside))
    module.in_channels -= _count(inside)
    module.out_channels -= _count(out)
    if module.groups > 1:
        setattr(module, KEEPS_GROUPS, True)


def _cut_passing(module: Any, out: Keep | None) -> None:
    """Cut whole groups."""
    assert out is not None
    gone = np.unique(out // (module.out_channels // module.groups))
    each = module.in_channels // module.groups
    rows = (gone[:, None] * each + np.arange(each)).ravel()
    _cut_tensors(module, ("weight",), 0, rows if isinstance(module, TRANSPOSED) else out)
    _cut_tensors(module, ("bias",), 0, out)
    module.in_channels -= len(rows)
    module.out_channels -= len(out)
    module.groups -= len(gone)


def _rows(module: nn.Module, inside: Keep) -> Keep:
    """Positions of the input channels ``inside`` along the weight's input dimension."""
    if isinstance(module, (*TRANSPOSED, nn.Linear)):
        return inside
    assert isinstance(module, CONVOLUTIONS)
    return np.unique(inside % (module.in_channels // module.groups))


def _count(removed: Keep | None) -> int:
    return 0 if removed is None else len(removed)


def _input_dim(module: nn.Module) -> int:
    return 0 if isinstance(module, TRANSPOSED) else 1


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
