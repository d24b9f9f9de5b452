"""The exponential moving average of the weights (Polyak averaging)."""

import copy
from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

AVERAGE = "/average"  # suffix of a tensor's name among the moments of a training


class WeightAverage:
    """The average of parameters and of batch-norm statistics over the last steps.

    The decay grows from 0.18 to ``decay`` as ``(1 + step) / (10 + step)``, so that the initial
    random weights soon have no influence.

    Args:
        model: the network whose weights are averaged.
        decay: share of the old average that each step keeps, such as 0.999.
        moments: those of the training so far, which include the average; empty at the start.
    """

    def __init__(self, model: nn.Module, decay: float, moments: Mapping[str, Tensor]) -> None:
        self._decay = decay
        self._current = _float_tensors(model)
        self._average = {
            name: tensor.clone().copy_(moments.get(name + AVERAGE, tensor))
            for name, tensor in self._current.items()
        }

    def update(self, step: int) -> None:
        """Add the weights after ``step`` steps to the average."""
        decay = min(self._decay, (1 + step) / (10 + step))
        get_ema_multi_avg_fn(decay)(  # type: ignore[no-untyped-call]
            list(self._average.values()), list(self._current.values()), step
        )

    @property
    def moments(self) -> dict[str, Tensor]:
        """The average as ``{tensor's name/average: tensor}``."""
        return {name + AVERAGE: tensor for name, tensor in self._average.items()}


def averaged(model: nn.Module, moments: Mapping[str, Tensor]) -> nn.Module:
    """Return a copy of ``model`` with the average in ``moments``; ``model`` if there is none."""
    if not any(name.endswith(AVERAGE) for name in moments):
        return model
    model = copy.deepcopy(model)
    use_average(model, moments)
    return model


def use_average(model: nn.Module, moments: Mapping[str, Tensor]) -> None:
    """Replace the weights of ``model`` by the average in ``moments``, in place."""
    for name, tensor in _float_tensors(model).items():
        tensor.copy_(moments[name + AVERAGE])


def _float_tensors(model: nn.Module) -> dict[str, Tensor]:
    return {
        name: tensor
        for name, tensor in model.state_dict().items()
        if torch.is_floating_point(tensor)
    }
