import copy
from itertools import pairwise

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from small_networks import NETWORKS, Network, built, example, flat, traced
from torch import nn

from netadapt.errors import UserError
from netadapt.pruning import PrunableModel, trace


def filters(model: nn.Module, producer: str, tensor: torch.Tensor) -> torch.Tensor:
    """``tensor`` of a layer's weight, one row an output channel."""
    if isinstance(model.get_submodule(producer), nn.ConvTranspose2d):
        return tensor.transpose(0, 1)
    return tensor


def weakest(scores: NDArray[np.float64], width: int) -> list[int]:
    return sorted(np.argsort(scores)[len(scores) - width :].tolist())


@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_l2_keeps_the_channels_of_the_largest_norm_over_the_whole_group(network: Network) -> None:
    prunable = traced(network)
    widths = {name: max(1, width // 3) for name, width in prunable.widths.items()}
    kept = prunable.kept_channels(widths)
    for name, producers in network.groups.items():
        norms = np.zeros(prunable.widths[name])
        for channel in range(len(norms)):
            for producer in producers:
                weight = prunable.model.get_submodule(producer).weight.detach()
                norms[channel] += float(
                    (filters(prunable.model, producer, weight)[channel] ** 2).sum()
                )
        assert kept[name].tolist() == weakest(np.sqrt(norms), widths[name])


def test_l2_weighs_every_layer_of_the_group() -> None:
    model = built(NETWORKS[0])
    with torch.no_grad():
        model.stem.weight.fill_(1.0)
        model.branch.weight.fill_(1.0)
        model.stem.weight[2] = 0.0  # weakest in one layer, strongest over both
        model.branch.weight[2] = 9.0
        model.branch.weight[5] = 0.5  # weakest over both
    prunable = trace(model, example(NETWORKS[0].shape))
    assert prunable.kept_channels({"stem": 7})["stem"].tolist() == [0, 1, 2, 3, 4, 6, 7]
    pruned = prunable.pruned({"stem": 7})
    stays = [0, 1, 2, 3, 4, 6, 7]
    assert torch.equal(pruned.stem.weight, model.stem.weight[stays])
    assert torch.equal(pruned.branch.weight, model.branch.weight[stays][:, stays])
    assert torch.equal(pruned.norm.running_mean, model.norm.running_mean[stays])
    assert torch.equal(pruned.head.weight, model.head.weight[:, stays])


@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_taylor_equals_its_naive_twin(network: Network) -> None:
    prunable = copy.copy(traced(network))
    prunable.model = copy.deepcopy(prunable.model)
    flat(prunable.model(example(network.shape, seed=2).double())).square().sum().backward()
    widths = {name: max(1, width // 2) for name, width in prunable.widths.items()}
    kept = prunable.kept_channels(widths, "taylor")
    for name, producers in network.groups.items():
        scores = np.zeros(prunable.widths[name])
        for channel in range(len(scores)):
            for producer in producers:
                weight = prunable.model.get_submodule(producer).weight
                rows = filters(prunable.model, producer, weight.detach())
                slopes = filters(prunable.model, producer, weight.grad)
                scores[channel] += float((rows[channel] * slopes[channel]).sum()) ** 2
        assert kept[name].tolist() == weakest(scores, widths[name])


def test_taylor_without_gradients_says_what_is_missing() -> None:
    with pytest.raises(UserError, match=r"taylor .* stem has none: call backward\(\)"):
        traced(NETWORKS[0]).pruned({"stem": 4}, "taylor")


def test_given_scores_decide(thin: PrunableModel) -> None:
    scores = np.zeros(thin.widths["conv4.3"])
    scores[[1, 6, 3]] = (2, 1, 3)
    kept = thin.kept_channels({"conv4.3": 3}, {"conv4.3": scores.tolist()})
    assert kept["conv4.3"].tolist() == [1, 3, 6]


def test_nested_widths_keep_nested_channels(thin: PrunableModel) -> None:
    kept = [set(thin.kept_channels({"conv4.3": w})["conv4.3"].tolist()) for w in range(1, 16)]
    assert all(small < large for small, large in pairwise(kept))


@pytest.mark.parametrize(
    ("importance", "words"),
    [
        ("magic", "unknown importance 'magic'; known: l2, taylor"),
        ({}, "no scores for group conv4.3"),
        ({"conv4.3": [1.0, 2.0]}, r"group conv4.3 has shape \(2,\); expected \(16,\)"),
        ({"conv4.3": [float("nan")] * 16}, "importance of group conv4.3 is not finite"),
        ({"conv4.3": ["much"] * 16}, "importance of group conv4.3"),
    ],
)
def test_unusable_importance_is_refused(
    thin: PrunableModel, importance: object, words: str
) -> None:
    with pytest.raises(UserError, match=words):
        thin.pruned({"conv4.3": 4}, importance)
