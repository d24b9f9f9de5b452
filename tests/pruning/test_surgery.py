from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from small_networks import (
    NETWORKS,
    Network,
    Reads,
    built,
    example,
    flat,
    removed_channels_zeroed,
    traced,
)
from torch import nn

from netadapt.depth.models.fastdepth import GROUPS, FastDepth
from netadapt.errors import UserError
from netadapt.pruning import PrunableModel, trace

STAGE_GROUP = {1: "decode_conv1.1.0", 2: "conv5.3", 3: "conv3.3", 4: "conv1.3"}


def fastdepth_reads() -> Reads:
    """Which group every convolution of FastDepth reads, from the paper's figure."""
    reads: dict[str, str] = {}
    for block in range(1, 14):
        group = "conv0.0" if block == 1 else f"conv{block - 1}.3"
        reads |= {f"conv{block}.0": group, f"conv{block}.3": group}
    for stage in range(1, 6):
        group = "conv13.3" if stage == 1 else STAGE_GROUP[stage - 1]
        reads |= {f"decode_conv{stage}.0.0": group, f"decode_conv{stage}.1.0": group}
    reads["decode_conv6.0"] = "decode_conv5.1.0"
    return {name: ((group, 1),) for name, group in reads.items()}


@st.composite
def choices(
    draw: st.DrawFn, prunable: PrunableModel
) -> tuple[dict[str, int], dict[str, NDArray[np.float64]], dict[str, NDArray[np.bool_]]]:
    """Random widths, random scores, and the channels that stay by them."""
    widths, scores, stays = {}, {}, {}
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    for name, full in prunable.widths.items():
        widths[name] = draw(st.integers(1, full))
        scores[name] = random.permutation(full).astype(float)
        stays[name] = scores[name] >= full - widths[name]
    return widths, scores, stays


def relative_difference(got: torch.Tensor, wanted: torch.Tensor) -> float:
    assert got.shape == wanted.shape
    assert wanted.abs().max() > 0
    return float((got - wanted).abs().max() / wanted.abs().max())


@pytest.mark.parametrize("network", NETWORKS, ids=str)
@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_cutting_answers_as_masking(network: Network, data: st.DataObject) -> None:
    prunable = traced(network)
    widths, scores, stays = data.draw(choices(prunable))
    image = example(network.shape, seed=1).double()
    with torch.no_grad():
        got = flat(prunable.pruned(widths, scores)(image))
        with removed_channels_zeroed(prunable.model, network.reads, stays):
            wanted = flat(prunable.model(image))
    assert relative_difference(got, wanted) < 1e-9


@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_cutting_fastdepth_answers_as_masking(thin: PrunableModel, data: st.DataObject) -> None:
    widths, scores, stays = data.draw(choices(thin))
    image = example((1, 3, 32, 64), seed=1)
    pruned = thin.pruned(widths, scores)
    whole = FastDepth(thin.widths).eval()
    whole.load_state_dict(thin.model.state_dict())
    for dtype, tolerance in ((torch.float32, 1e-4), (torch.float64, 1e-9)):
        with torch.no_grad(), removed_channels_zeroed(whole.to(dtype), fastdepth_reads(), stays):
            wanted = whole(image.to(dtype))
            got = pruned.to(dtype)(image.to(dtype))
        assert relative_difference(got, wanted) < tolerance


@settings(max_examples=5, deadline=None)
@given(data=st.data())
def test_a_pruned_fastdepth_is_a_fastdepth_of_those_widths(
    thin: PrunableModel, data: st.DataObject
) -> None:
    widths, _, _ = data.draw(choices(thin))
    pruned = thin.pruned(widths)
    rebuilt = FastDepth(widths).eval()
    rebuilt.load_state_dict(pruned.state_dict(), strict=True)
    image = example((1, 3, 32, 32))
    assert torch.equal(rebuilt(image), pruned(image))
    for (name, ours), (_, theirs) in zip(
        pruned.named_modules(), rebuilt.named_modules(), strict=True
    ):
        assert repr(ours) == repr(theirs), name


def test_groups_left_out_keep_their_channels(thin: PrunableModel) -> None:
    pruned = thin.pruned({"conv4.3": 5})
    assert pruned.spec.widths == thin.widths | {"conv4.3": 5}
    assert pruned.conv4[3].out_channels == 5
    assert torch.equal(pruned.conv0[0].weight, thin.model.conv0[0].weight)


def test_full_widths_give_an_independent_copy(thin: PrunableModel) -> None:
    before = thin.model.conv0[0].weight.clone()
    copied = thin.pruned({})
    assert copied.conv0[0].weight is not thin.model.conv0[0].weight
    with torch.no_grad():
        copied.conv0[0].weight.zero_()
    assert torch.equal(thin.model.conv0[0].weight, before)


def test_the_spec_of_a_pruned_network_carries_its_widths(thin: PrunableModel) -> None:
    widths = dict.fromkeys(GROUPS, 4)
    pruned = thin.pruned(widths)
    assert pruned.spec.widths == widths
    assert pruned.spec.name == thin.model.spec.name
    assert pruned.spec.options == thin.model.spec.options
    assert thin.model.spec.widths is None


def test_a_pruned_network_can_be_pruned_again(thin: PrunableModel) -> None:
    first = dict.fromkeys(GROUPS, 6) | {"conv0.0": 1, "conv3.3": 1}
    once = trace(thin.pruned(first), thin.example_input)
    assert once.widths == {name: 6 for name in GROUPS if first[name] > 1}
    assert once.locked["conv0.0"] == "it has a single channel"
    twice = once.pruned({"conv5.3": 2, "conv13.3": 3})
    assert twice.spec.widths == first | {"conv5.3": 2, "conv13.3": 3}
    rebuilt = FastDepth(twice.spec.widths).eval()
    rebuilt.load_state_dict(twice.state_dict(), strict=True)
    assert torch.equal(rebuilt(thin.example_input), twice(thin.example_input))


@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_a_pruned_network_learns(network: Network) -> None:
    model = built(network).train()
    prunable = trace(model, example(network.shape))
    pruned = prunable.pruned({name: max(1, w // 2) for name, w in prunable.widths.items()})
    assert all(module.training for module in pruned.modules())
    parameters = list(pruned.parameters())
    assert all(p.is_leaf and p.requires_grad and p.grad is None for p in parameters)
    flat(pruned(example(network.shape))).square().sum().backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in parameters)


def test_layers_know_their_new_sizes() -> None:
    pruned = traced(NETWORKS[3]).pruned({"stem": 5, "hidden": 7})
    assert (pruned.stem.out_channels, pruned.stem.in_channels) == (5, 3)
    assert (pruned.hidden.in_features, pruned.hidden.out_features) == (5 * 16, 7)
    assert (pruned.head.in_features, pruned.head.out_features) == (7, 3)
    separable = traced(NETWORKS[1]).pruned({"stem": 3})
    assert separable.depthwise.groups == separable.depthwise.in_channels == 3
    assert separable.norm.num_features == 3


@pytest.mark.parametrize(
    ("widths", "words"),
    [
        ({"conv99.3": 4}, "unknown channel group 'conv99.3'; the network has: conv0.0"),
        ({"conv0.0": 0}, "group conv0.0 cannot have 0 channels: it has 8"),
        ({"conv0.0": -3}, "cannot have -3 channels"),
        ({"conv0.0": 9}, "cannot have 9 channels: it has 8"),
        ({"conv0.0": 3.5}, "cannot have 3.5 channels"),
        ({"conv0.0": "4"}, "cannot have '4' channels"),
        ({"conv0.0": float("nan")}, "cannot have nan channels"),
    ],
)
def test_impossible_widths_are_refused(
    thin: PrunableModel, widths: dict[str, int], words: str
) -> None:
    for method in (thin.pruned, thin.masked, thin.vector):
        with pytest.raises(UserError, match=words):
            method(widths)


def test_widths_may_be_numpy_integers(thin: PrunableModel) -> None:
    width: Any = np.int64(4)
    pruned = thin.pruned({"conv0.0": width})
    assert type(pruned.spec.widths["conv0.0"]) is int
    assert isinstance(pruned, nn.Module)
