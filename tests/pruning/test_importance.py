import copy
from itertools import pairwise
from typing import Any

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


def test_share_weighs_writers_norms_and_readers_alike() -> None:
    prunable = traced(NETWORKS[0])
    model = prunable.model
    squares = [
        model.stem.weight.square().sum((1, 2, 3)),
        model.branch.weight.square().sum((1, 2, 3)),
        model.branch.weight.square().sum((0, 2, 3)),
        model.norm.weight.square(),
        model.head.weight.square().sum((0, 2, 3)),
    ]
    shares = np.mean([(one / one.sum()).detach().numpy() for one in squares], axis=0)
    for width in (3, 6):
        kept = prunable.kept_channels({"stem": width}, "share")["stem"]
        assert kept.tolist() == weakest(shares, width)


@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_share_does_not_change_with_the_scale_of_a_layer(network: Network) -> None:
    prunable = traced(network)
    scaled = copy.copy(prunable)
    scaled.model = copy.deepcopy(prunable.model)
    scales = iter(np.random.default_rng(0).uniform(0.1, 10, 100))
    with torch.no_grad():
        for module in scaled.model.modules():
            scale = next(scales)
            for parameter in module.parameters(recurse=False):
                parameter.mul_(scale)
    widths = {name: max(1, width // 2) for name, width in prunable.widths.items()}
    kept, same = prunable.kept_channels(widths, "share"), scaled.kept_channels(widths, "share")
    assert {name: rows.tolist() for name, rows in kept.items()} == {
        name: rows.tolist() for name, rows in same.items()
    }


@pytest.mark.parametrize("groups", [1, 2])
def test_share_reads_the_columns_of_grouped_layers(groups: int) -> None:
    model = nn.Sequential(nn.Conv2d(3, 8, 1), nn.ReLU(), nn.Conv2d(8, 6, 3, groups=groups))
    with torch.no_grad():
        model[0].weight.fill_(1.0)
        model[2].weight.fill_(1.0)
        for channel in range(8):  # what reads channel c weighs c
            each = 8 // groups
            rows = slice(channel // each * 6 // groups, (channel // each + 1) * 6 // groups)
            model[2].weight[rows, channel % each] = float(channel)
    prunable = trace(model, torch.rand(1, 3, 8, 8))
    kept = prunable.kept_channels({"0": 4}, "share")["0"]
    assert kept.tolist() == ([4, 5, 6, 7] if groups == 1 else [2, 3])  # steps of both groups


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
        ("magic", "unknown importance 'magic'; known: l2, share, taylor"),
        ({}, "no scores for group conv4.3"),
        ({"conv4.3": [1.0, 2.0]}, r"group conv4.3 has shape \(2,\); expected \(16,\)"),
        ({"conv4.3": [float("nan")] * 16}, "importance of group conv4.3 is not finite"),
        ({"conv4.3": ["much"] * 16}, "importance of group conv4.3"),
    ],
)
def test_unusable_importance_is_refused(thin: PrunableModel, importance: Any, words: str) -> None:
    with pytest.raises(UserError, match=words):
        thin.pruned({"conv4.3": 4}, importance)
