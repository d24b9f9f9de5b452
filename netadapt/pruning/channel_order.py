"""The order in which channels of a group are removed: the least important first."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase

from netadapt.errors import UserError
from netadapt.pruning.flow import ROOT_TYPES
from netadapt.pruning.folding import TRANSPOSED, weight_of
from netadapt.pruning.groups import ChannelGroup
from netadapt.pruning.parameters import is_bare
from netadapt.pruning.surgery import Side, Slot

Importance = str | Mapping[str, ArrayLike]


def channel_order(
    model: nn.Module, group: ChannelGroup, slots: Sequence[Slot], importance: Importance
) -> NDArray[np.intp]:
    """Return the steps of a group's channels in the order in which they are removed.

    Args:
        model: the network whose weights (and, for ``taylor``, gradients) are read.
        group: the group.
        slots: where the group's channels lie.
        importance: ``l2``, ``share``, ``taylor``, or a mapping from group to scores: ``(width,)``,
            of which those of a step are added up, or ``(steps,)``.

    Raises:
        UserError: unknown importance, missing scores, or ``taylor`` without gradients.
    """
    return np.argsort(_scores(model, group, slots, importance), kind="stable")


def _scores(
    model: nn.Module, group: ChannelGroup, slots: Sequence[Slot], importance: Importance
) -> NDArray[np.float64]:
    """Return ``(steps,)``: how important each step of a group's channels is."""
    steps = group.width // group.step
    if isinstance(importance, str):
        if importance not in CRITERIA:
            raise UserError(f"unknown importance {importance!r}; known: {', '.join(CRITERIA)}")
        return CRITERIA[importance](model, slots, steps)
    if group.name not in importance:
        raise UserError(f"the importance given has no scores for group {group.name}")
    try:
        scores = np.asarray(importance[group.name], dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise UserError(f"importance of group {group.name} is not numbers: {error}") from error
    if scores.shape == (group.width,) and group.step > 1:
        positions = next(slot for slot in slots if slot.module == group.producers[0]).indices
        scores = scores[np.searchsorted(np.sort(positions.ravel()), positions)].sum(axis=1)
    if scores.shape != (steps,):
        raise UserError(
            f"importance of group {group.name} has shape {scores.shape}; expected ({group.width},)"
        )
    if not np.isfinite(scores).all():
        raise UserError(f"importance of group {group.name} is not finite")
    return scores


def _l2(model: nn.Module, slots: Sequence[Slot], steps: int) -> NDArray[np.float64]:
    """L2 norm of all filters that produce the channel, over the whole group.

    Source: Yang et al., NetAdapt, ECCV 2018, section 3.2 (filters with the largest l2 norm stay).
    """
    total = np.zeros(steps)
    for module, slot in _producers(model, slots):
        weight = _filters(module, weight_of(module).detach()).double()
        norms = weight.square().flatten(1).sum(1).cpu().numpy()
        total += norms[slot.indices].sum(1)
    return np.sqrt(total)


def _taylor(model: nn.Module, slots: Sequence[Slot], steps: int) -> NDArray[np.float64]:
    """First-order change of the loss when the channel is removed: (sum of weight * gradient)^2.

    Source: Molchanov et al., Importance Estimation for Neural Network Pruning, CVPR 2019, eq. 8,
    summed over the layers of the group.
    """
    total = np.zeros(steps)
    for module, slot in _producers(model, slots):
        product = np.zeros(len(_filters(module, weight_of(module))))
        for parameter in _filter_parameters(module):
            if parameter.grad is None:
                raise UserError(
                    f"taylor importance needs gradients, and {slot.module} has none: "
                    "call backward() on the loss of a batch first"
                )
            change = _filters(module, parameter.detach() * parameter.grad)
            product += change.double().flatten(1).sum(1).cpu().numpy()
        total += product[slot.indices].sum(1) ** 2
    return total


def _share(model: nn.Module, slots: Sequence[Slot], steps: int) -> NDArray[np.float64]:
    """The channel's share of the group's squared weights in a layer, averaged over its layers.

    Its layers are those that write the channel, those that scale it (norms) and those that read it.
    Where a norm follows a layer, the scale of its weights has no effect; a share does not depend on
    that scale.

    Source: Fang et al., DepGraph, CVPR 2023, section 3.3 (the norm over a whole group), with each
    layer normalised by itself.
    """
    total, layers = np.zeros(steps), 0
    for slot in slots:
        if is_bare(slot.module):
            continue
        squares = _squares(model.get_submodule(slot.module), slot.side)
        if squares is not None and squares[slot.indices].any():
            own = squares[slot.indices].sum(1)
            total += own / own.sum()
            layers += 1
    return total / max(layers, 1)


def _squares(module: Any, side: Side) -> NDArray[np.float64] | None:
    """Return ``(channels,)`` sums of squared weights on one side of ``module``, if it has any."""
    if not isinstance(module, (*ROOT_TYPES, _NormBase, nn.GroupNorm)):
        return None
    if isinstance(module, _NormBase | nn.GroupNorm) and module.weight is None:
        return None
    weight = weight_of(module).detach().double().square().cpu()
    if weight.dim() == 1:
        channels = weight
    elif side == "out":
        channels = _filters(module, weight).flatten(1).sum(1)
    elif isinstance(module, TRANSPOSED):
        channels = weight.flatten(1).sum(1)
    else:  # (groups, outputs of each, inputs of each, positions)
        groups = getattr(module, "groups", 1)
        by_input = weight.flatten(2) if weight.dim() > 2 else weight[:, :, None]
        channels = by_input.reshape(groups, -1, *by_input.shape[1:]).sum((1, 3)).flatten()
    return np.asarray(channels.numpy(), dtype=np.float64)


CRITERIA: dict[str, Callable[[nn.Module, Sequence[Slot], int], NDArray[np.float64]]] = {
    "l2": _l2,
    "share": _share,
    "taylor": _taylor,
}


def _producers(model: nn.Module, slots: Sequence[Slot]) -> Iterator[tuple[Any, Slot]]:
    for slot in slots:
        if is_bare(slot.module):
            continue
        module = model.get_submodule(slot.module)
        if slot.side == "out" and isinstance(module, ROOT_TYPES):
            yield module, slot


def _filter_parameters(module: Any) -> list[nn.Parameter]:
    """The parameters that the filters are computed from: the weight, or its parametrisation."""
    if "weight" in module._parameters:
        return [module.weight]
    own = [parameter for name, parameter in module.named_parameters() if name != "bias"]
    return [parameter for parameter in own if parameter.dim() == weight_of(module).dim()]


def _filters(module: Any, weight: Tensor) -> Tensor:
    """Return ``weight`` with one row per output channel."""
    if not isinstance(module, TRANSPOSED):
        return weight
    shape = (module.groups, len(weight) // module.groups, *weight.shape[1:])
    return weight.reshape(shape).transpose(1, 2).flatten(0, 1)
