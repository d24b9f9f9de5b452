"""Pruning holds on networks of many families; ``benchmarks/surgery.py`` is the long version."""

import importlib.util
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import timm
import torch
from timm.layers import StdConv2dSame
from timm.models.resnet import Bottleneck, ResNet
from torch import Tensor, nn

from netadapt.errors import UserError
from netadapt.pruning import PrunableModel, reshaped, trace
from netadapt.pruning.folding import computes_weight
from netadapt.search.proposals import WidthGrid

BENCHMARK = Path(__file__).resolve().parents[2] / "benchmarks" / "surgery.py"


def _benchmark() -> ModuleType:
    spec = importlib.util.spec_from_file_location("surgery_benchmark", BENCHMARK)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["surgery_benchmark"] = module
    sys.path.insert(0, str(BENCHMARK.parent))
    spec.loader.exec_module(module)
    return module


surgery = _benchmark()
families = importlib.import_module("families")  # beside it


def small(name: str, **options: Any) -> Callable[[], nn.Module]:
    return lambda: timm.create_model(name, num_classes=5, **options)


def resnext() -> nn.Module:
    resnet: Any = ResNet  # timm declares an instance where it takes the class of a block
    return resnet(Bottleneck, [1, 1, 1, 1], num_classes=5, cardinality=8, base_width=4)


FAMILIES = {
    "unet": families.BUILDERS["unet"],
    "super_resolution": families.BUILDERS["super_resolution"],
    "mobilenetv3": small("mobilenetv3_small_050"),
    "resnet": small("resnet10t"),
    "convnext": small("convnext_atto", depths=(1, 1, 1, 1), dims=(16, 24, 32, 48)),
    "densenet": small("densenet121", block_config=(2, 3, 2, 2), growth_rate=8),
    "resnext": resnext,
}


# whose graphs differ most: the export takes longer than all else
EXPORTED = ("unet", "convnext", "densenet")


@pytest.mark.parametrize("family", FAMILIES)
def test_pruning_holds_on_networks_of_many_families(family: str) -> None:
    onnx = int(family in EXPORTED)
    model = families.built(FAMILIES[family])
    report = surgery.checked(family, model, vectors=2, onnx=onnx, side=32)
    assert report.holds, report
    assert report.groups > 2


def traced(model: nn.Module) -> PrunableModel:
    return trace(model.eval(), torch.rand(1, 3, 8, 8))


class Chain(nn.Module):
    """A stem of 8 channels, whatever is in the middle, a head."""

    def __init__(self, middle: nn.Module, channels: int = 8) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.middle = middle
        self.head = nn.Conv2d(channels, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(self.middle(torch.relu(self.stem(x)))))


def test_a_grouped_convolution_loses_as_many_channels_in_each_group() -> None:
    model = Chain(nn.Conv2d(8, 12, 3, padding=1, groups=2), 12)
    prunable = traced(model)
    assert {name: (g.width, g.step) for name, g in prunable.groups.items()} == {
        "stem": (8, 2),
        "middle": (12, 2),
    }
    scores: dict[str, Any] = {"stem": [1, 9, 9, 1, 1, 9, 9, 1], "middle": np.arange(12)}
    pruned = prunable.pruned({"stem": 4, "middle": 6}, scores)
    assert (pruned.middle.groups, pruned.middle.in_channels, pruned.middle.out_channels) == (
        2,
        4,
        6,
    )
    out = [3, 4, 5, 9, 10, 11]
    assert torch.equal(pruned.middle.weight, model.middle.weight[out][:, 1:3])
    assert torch.equal(pruned.stem.weight, model.stem.weight[[1, 2, 5, 6]])


def test_widths_between_the_steps_of_a_group_are_refused_and_never_proposed() -> None:
    model = Chain(nn.Conv2d(8, 8, 3, padding=1, groups=4))
    prunable = traced(model)
    with pytest.raises(UserError, match=r"stem cannot have 6 channels: .* goes in steps of 4"):
        prunable.pruned({"stem": 6})
    with pytest.raises(UserError, match=r"stem cannot have 6 channels: .* goes in steps of 4"):
        reshaped(model, prunable.example_input, {"stem": 6})
    steps = {name: group.step for name, group in prunable.groups.items()}
    assert WidthGrid(prunable.widths, 2, 0.1, steps).options("stem", 8) == [8, 4]


def test_groups_of_a_group_norm_go_as_one() -> None:
    prunable = traced(Chain(nn.GroupNorm(4, 8)))
    assert prunable.groups["stem"].step == 2
    pruned = prunable.pruned({"stem": 6})
    assert (pruned.middle.num_groups, pruned.middle.num_channels) == (3, 6)


def test_a_pixel_shuffle_makes_the_channels_behind_a_pixel_go_as_one() -> None:
    prunable = traced(Chain(nn.PixelShuffle(2), 2))
    assert prunable.groups["stem"].step == 4
    pruned = prunable.pruned({"stem": 4}, {"stem": [0, 0, 0, 0, 1, 1, 1, 1]})
    assert torch.equal(pruned.stem.weight, prunable.model.stem.weight[4:])
    assert torch.equal(pruned.head.weight, prunable.model.head.weight[:, 1:])


class Halves(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        left, right = x.chunk(2, dim=1)
        return torch.cat([right, torch.tanh(left)], 1)


def test_halves_of_a_layer_lose_as_many_channels() -> None:
    prunable = traced(Chain(Halves()))
    assert prunable.groups["stem"].step == 2
    assert prunable.pruned({"stem": 4}).stem.out_channels == 4


class Standardised(nn.Conv2d):
    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        weight = weight / (self.weight.std((1, 2, 3), keepdim=True) + 1e-5)
        return self._conv_forward(x, weight, self.bias)


def legacy_weight_norm() -> nn.Module:
    return nn.utils.weight_norm(nn.Conv2d(8, 8, 3, padding=1))


@pytest.mark.parametrize(
    "middle",
    [
        lambda: Standardised(8, 8, 3, padding=1),
        lambda: nn.utils.parametrizations.weight_norm(nn.Conv2d(8, 8, 3, padding=1)),
        lambda: nn.utils.parametrizations.spectral_norm(nn.Conv2d(8, 8, 3, padding=1)),
        legacy_weight_norm,
        lambda: StdConv2dSame(8, 8, 3, stride=2),
    ],
    ids=["standardised", "weight_norm", "spectral_norm", "legacy_weight_norm", "same_padding"],
)
def test_a_layer_that_computes_its_weight_is_plain_once_cut_and_answers_as_masked(
    middle: Callable[[], nn.Module],
) -> None:
    torch.manual_seed(0)
    model = Chain(middle()).double()  # in training mode, in which a spectral norm changes
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    prunable = trace(model, torch.rand(1, 3, 8, 9, dtype=torch.float64))
    assert list(prunable.groups) == ["stem", "middle"]
    untouched, pruned = prunable.pruned({}), prunable.pruned({"stem": 5, "middle": 3})
    assert computes_weight(untouched.middle)
    assert not computes_weight(pruned.middle)
    image = torch.rand(2, 3, 9, 8, dtype=torch.float64)
    with torch.no_grad():
        wanted = prunable.masked({"stem": 5, "middle": 3}).eval()(image)
        assert torch.allclose(pruned.eval()(image), wanted, rtol=1e-9, atol=0)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())
    shell = reshaped(model, prunable.example_input, {"stem": 5, "middle": 3})
    shell.load_state_dict(pruned.state_dict())


class StandardisedAndScaled(Standardised):
    def forward(self, x: Tensor) -> Tensor:
        return 2 * super().forward(x)


def test_a_standardised_layer_that_does_more_is_locked_not_guessed() -> None:
    prunable = traced(Chain(StandardisedAndScaled(8, 8, 3, padding=1)))
    assert "does more than a plain layer would" in prunable.locked["stem"]


class TrainedBeside(nn.Module):
    """A second scale and a second network that deployment never calls."""

    training_only = ("side", "beside")

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.far = nn.Conv2d(8, 6, 3, padding=1)
        self.head = nn.Conv2d(6, 1, 1)
        self.side = nn.Conv2d(8, 1, 1)
        self.beside = nn.Conv2d(6, 7, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(self.far(self.stem(x))))

    def training_outputs(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return self(x), self.side(self.stem(x))


def test_heads_for_training_follow_and_are_not_of_the_deployed_network() -> None:
    prunable = traced(TrainedBeside())
    assert set(prunable.locked) == {"head"}
    assert {operation.module for operation in prunable.operations.operations} >= {"stem", "head"}
    assert "side" not in {operation.module for operation in prunable.operations.operations}
    pruned = prunable.pruned({"stem": 5})
    assert pruned.side.in_channels == 5
    assert [out.shape[1] for out in pruned.training_outputs(prunable.example_input)] == [1, 1]
    deployed = (prunable.model.stem, prunable.model.far, prunable.model.head)
    assert prunable.parameter_count() == sum(p.numel() for m in deployed for p in m.parameters())
    assert prunable.parameter_count({"stem": 5}) == sum(
        p.numel() for m in (pruned.stem, pruned.far, pruned.head) for p in m.parameters()
    )


def test_pruned_networks_share_nothing_and_leave_no_trace() -> None:
    """No default is shared between traces, and pruning twice from one trace is the same twice."""
    model = Chain(nn.Conv2d(8, 8, 3, padding=1))
    first, second = traced(model), traced(model)
    first.pruned({"stem": 3})
    assert (first.groups, first.locked) == (second.groups, second.locked)
    assert first.groups is not second.groups
    assert first.locked is not second.locked
    once, again = first.pruned({"stem": 5}), first.pruned({"stem": 5})
    for one, other in zip(once.parameters(), again.parameters(), strict=True):
        assert torch.equal(one, other)
        assert one.data_ptr() != other.data_ptr()


def test_a_descended_network_knows_its_steps() -> None:
    prunable = traced(Chain(nn.Conv2d(8, 8, 3, padding=1, groups=2)))
    child = prunable.pruned({"stem": 4})
    descended = prunable.descend(child)
    assert (descended.groups["stem"].width, descended.groups["stem"].step) == (4, 2)
    assert descended.pruned({"stem": 2}).stem.out_channels == 2
