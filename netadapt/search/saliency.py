"""How much the channels of all groups matter, comparable across groups."""

import copy
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from netadapt.errors import UserError
from netadapt.pruning import PrunableModel
from netadapt.pruning.flow import ROOT_TYPES
from netadapt.search.fisher import batch_on, fisher_scores
from netadapt.training.task import Task

Criterion = Literal["l2", "share", "magnitude", "taylor", "first-order", "fisher"]
OF_WEIGHTS: tuple[Criterion, ...] = ("l2", "share")  # that pruning itself reads off a network
Scores = dict[str, NDArray[np.float64]]

# Torch-Pruning's own, raw: it is for the strategy to say how groups compare. The last keeps the
# sign within a filter, which makes it the first-order change of the loss.
_IMPORTANCE: dict[Criterion, Callable[[], Any]] = {
    "magnitude": lambda: _importance().GroupMagnitudeImportance(p=2, normalizer=None),
    "taylor": lambda: _importance().GroupTaylorImportance(normalizer=None),
    "first-order": lambda: _importance().GroupTaylorImportance(normalizer=None, multivariable=True),
}


def reads_data(criterion: Criterion) -> bool:
    """Whether ``criterion`` needs gradients."""
    return criterion in ("taylor", "first-order", "fisher")


def channel_scores(
    prunable: PrunableModel,
    criterion: Criterion,
    task: Task,
    *,
    device: torch.device,
    batches: int,
    batch_size: int,
    seed: int,
) -> Scores:
    """Return ``{group: (channels,)}`` scores of the network as it is, computed on ``device``.

    Torch-Pruning's ``MagnitudeImportance`` (p=2) and ``TaylorImportance``, with its defaults but
    for the normalisation, which is left to the caller: the mean over a group's ordinary
    convolutions and linear layers, those that write the channels and those that read them (and,
    for the magnitude, batch norms); it passes over depthwise convolutions. Taylor scores are
    those of a batch, with gradients in eval mode, averaged over ``batches``: gradients summed
    over batches before the score would cancel near a minimum.

    Source: Molchanov et al., Importance Estimation for Neural Network Pruning, CVPR 2019.
    """
    if criterion == "fisher":
        return fisher_scores(
            prunable, task, device=device, batches=batches, batch_size=batch_size, seed=seed
        )
    model = copy.deepcopy(prunable.model).eval()
    for parameter in model.parameters():
        parameter.requires_grad_(True)
    groups = _groups(model, prunable)
    model.to(device)
    score = _IMPORTANCE[criterion]()
    if not reads_data(criterion):
        return {name: _checked(score(group), name, prunable) for name, group in groups.items()}
    total = {name: np.zeros(prunable.groups[name].width) for name in groups}
    for draw in range(batches):
        inputs, targets = batch_on(device, task, draw, batch_size, seed)
        model.zero_grad(set_to_none=True)
        torch.autograd.backward(task.loss(model, inputs, targets))
        for parameter in model.parameters():  # one that the loss does not depend on
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
        for name, group in groups.items():
            total[name] += _checked(score(group), name, prunable) / batches
    return total


def _importance() -> Any:
    from torch_pruning.pruner import importance  # takes seconds, and most strategies do without

    return importance


def _groups(model: nn.Module, prunable: PrunableModel) -> dict[str, Any]:
    """Torch-Pruning's groups of ``model`` under our names, in our order."""
    import torch_pruning

    with torch.enable_grad():
        graph = torch_pruning.DependencyGraph().build_dependency(
            model, example_inputs=prunable.example_input, verbose=False
        )
    names = {module: name for name, module in model.named_modules()}
    found = {}
    for group in graph.get_all_groups(root_module_types=list(ROOT_TYPES)):
        for item in group.items:
            name = names.get(item.dep.target.module)
            if name in prunable.groups and graph.is_out_channel_pruning_fn(item.dep.handler):
                found[name] = group
    absent = [name for name in prunable.groups if name not in found]
    if absent:
        raise UserError(
            f"Torch-Pruning, which scores for this strategy, does not find group {absent[0]}; "
            "--strategy netadapt and netadapt-fast score channels without it"
        )
    return {name: found[name] for name in prunable.groups}


def _checked(scores: Any, group: str, prunable: PrunableModel) -> NDArray[np.float64]:
    values = np.asarray(scores.detach().double().cpu(), dtype=np.float64)
    if values.shape != (prunable.groups[group].width,) or not np.isfinite(values).all():
        raise UserError(
            f"Torch-Pruning gives group {group} no finite score a channel: the network is not "
            "trained to the end, or Torch-Pruning groups it otherwise; --strategy netadapt and "
            "netadapt-fast do without"
        )
    return values
