"""How much each channel of a group matters."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor, nn

from netadapt.errors import UserError
from netadapt.pruning.surgery import Slot

Importance = str | Mapping[str, ArrayLike]


def channel_importance(
    model: nn.Module, group: str, slots: Sequence[Slot], width: int, importance: Importance
) -> NDArray[np.float64]:
    """Return the ``(width,)`` importance of a group's channels.

    Args:
        model: the network whose weights (and, for ``taylor``, gradients) are read.
        group: the group's name.
        slots: where the group's channels lie.
        width: its channels.
        importance: ``l2``, ``taylor``, or a mapping from group to ``(width,)`` scores.

    Raises:
        UserError: unknown importance, missing scores, or ``taylor`` without gradients.
    """
    if isinstance(importance, str):
        if importance not in CRITERIA:
            raise UserError(f"unknown importance {importance!r}; known: {', '.join(CRITERIA)}")
        return CRITERIA[importance](model, slots, width)
    if group not in importance:
        raise UserError(f"the importance given has no scores for group {group}")
    try:
        scores = np.asarray(importance[group], dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise UserError(f"importance of group {group} is not numbers: {error}") from error
    if scores.shape != (width,):
        raise UserError(
            f"importance of group {group} has shape {scores.shape}; expected ({width},)"
        )
    if not np.isfinite(scores).all():
        raise UserError(f"importance of group {group} is not finite")
    return scores


def _l2(model: nn.Module, slots: Sequence[Slot], width: int) -> NDArray[np.float64]:
    """L2 norm of all filters that produce the channel, over the whole group.

    Source: Yang et al., NetAdapt, ECCV 2018, section 3.2 (filters of the largest l2 norm stay).
    """
    total = np.zeros(width)
    for weight, slot in _producer_weights(model, slots):
        norms = weight.double().square().flatten(1).sum(1).numpy()
        total += norms[slot.indices].sum(1)
    return np.sqrt(total)


def _taylor(model: nn.Module, slots: Sequence[Slot], width: int) -> NDArray[np.float64]:
    """First-order change of the loss when the channel is removed: (sum of weight * gradient)^2.

    Source: Molchanov et al., Importance Estimation for Neural Network Pruning, CVPR 2019, eq. 8,
    summed over the layers of the group.
    """
    total = np.zeros(width)
    for weight, slot in _producer_weights(model, slots):
        module: Any = model.get_submodule(slot.module)
        gradient = module.weight.grad
        if gradient is None:
            raise UserError(
                f"taylor importance needs gradients, and {slot.module} has none: "
                "call backward() on the loss of a batch first"
            )
        slope = gradient.detach().transpose(0, _out_dim(module)).cpu()
        product = (weight * slope).double().flatten(1).sum(1)
        total += product.numpy()[slot.indices].sum(1) ** 2
    return total


CRITERIA: dict[str, Callable[[nn.Module, Sequence[Slot], int], NDArray[np.float64]]] = {
    "l2": _l2,
    "taylor": _taylor,
}


def _producer_weights(model: nn.Module, slots: Sequence[Slot]) -> list[tuple[Tensor, Slot]]:
    weights: list[tuple[Tensor, Slot]] = []
    for slot in slots:
        module: Any = model.get_submodule(slot.module)
        if slot.side == "out" and isinstance(module.weight, Tensor) and module.weight.dim() > 1:
            with torch.no_grad():
                weight = module.weight.detach().transpose(0, _out_dim(module))
            weights.append((weight.cpu(), slot))
    return weights


def _out_dim(module: nn.Module) -> int:
    return 1 if isinstance(module, nn.ConvTranspose2d) else 0
