"""The exponential moving average of the weights (Polyak averaging)."""

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

AVERAGE = "/average"  # behind a tensor's name, among the moments of a training


class WeightAverage:
    """The average of parameters and of batch-norm statistics over the last steps.

    The decay grows from 0.18 to ``decay`` as ``(1 + step) / (10 + step)``, so that the random
    weights of the start are soon forgotten.

    Args:
        model: whose weights are averaged.
        decay: what remains of the average at each step, such as 0.999.
        moments: of the training so far, among which the average is; empty at the start.
    """

    def __init__(self, model: nn.Module, decay: float, moments: Mapping[str, Tensor]) -> None:
        self._decay = decay
        self._current = _float_tensors(model)
        self._average = {
            name: tensor.clone().copy_(moments.get(name + AVERAGE, tensor))
            for name, tensor in self._current.items()
        }

    def update(self, step: int) -> None:
        """Take in the weights after ``step`` steps."""
        decay = min(self._decay, (1 + step) / (10 + step))
        get_ema_multi_avg_fn(decay)(  # type: ignore[no-untyped-call]
            list(self._average.values()), list(self._current.values()), step
        )

    @property
    def moments(self) -> dict[str, Tensor]:
        """The average as ``{tensor's name/average: tensor}``."""
        return {name + AVERAGE: tensor for name, tensor in self._average.items()}


def averaged(model: nn.Module, moments: Mapping[str, Tensor]) -> nn.Module:
    """Return a copy of ``model`` with the average among ``moments``; ``model`` if there is none."""
    if not any(name.endswith(AVERAGE) for name in moments):
        return model
    model = copy.deepcopy(model)
    use_average(model, moments)
    return model


def use_average(model: nn.Module, moments: Mapping[str, Tensor]) -> None:
    """Give ``model`` the average among ``moments``, in place."""
    for name, tensor in _float_tensors(model).items():
        tensor.copy_(moments[name + AVERAGE])


def _float_tensors(model: nn.Module) -> dict[str, Tensor]:
    return {
        name: tensor
        for name, tensor in model.state_dict().items()
        if torch.is_floating_point(tensor)
    }
