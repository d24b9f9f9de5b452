"""What foreign code does in ``forward`` makes groups that hold, or locks, and never a traceback."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from foreign_networks import (
    CHOICES,
    INTEGERS,
    OBJECTS,
    TRAINING,
    TYPES,
    WRITTEN,
    Auxiliary,
    AuxiliaryWeight,
    Between,
    Dropping,
    Features,
    Giving,
    Later,
    SecondInput,
    Targets,
    Teacher,
    WithGradients,
)
from torch import Tensor, nn

from netadapt.errors import UserError
from netadapt.pruning import PrunableModel, trace
from netadapt.pruning.examples import output_tensors

IMAGE = torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
OUTPUT = "its channels are the network's output"


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Fresh weights are the same in every run: what some networks give depends on their signs."""
    torch.manual_seed(0)


def traced(model: nn.Module) -> PrunableModel:
    return trace(model, IMAGE)


def agree(one: nn.Module, other: nn.Module, tolerance: float = 1e-4) -> bool:
    with torch.no_grad():
        pairs = list(zip(output_tensors(one(IMAGE)), output_tensors(other(IMAGE)), strict=True))
    return all(
        got.shape == wanted.shape
        and torch.allclose(got.double(), wanted.double(), rtol=tolerance, atol=tolerance)
        for got, wanted in pairs
    )


def holds(prunable: PrunableModel) -> bool:
    """Whether each group alone, at every width and with any channels, answers as masked."""
    random = np.random.default_rng(1)
    for name, group in prunable.groups.items():
        for width in range(group.step, group.width, group.step):
            scores = {name: random.random(group.width)}
            pruned = prunable.pruned({name: width}, scores).eval()
            if not agree(pruned, prunable.masked({name: width}, scores).eval()):
                return False
    return True


def named(values: tuple[Any, ...]) -> Any:
    return pytest.mark.parametrize(
        "case", values, ids=[getattr(value, "__name__", "object") for value in values]
    )


@named(TYPES)
def test_types_fixed_in_forward_lock_nothing(case: Features) -> None:
    prunable = traced(Between(case))
    assert "after" in prunable.groups
    if case.__name__ != "autocast":  # which has a convolution outside a layer
        assert list(prunable.groups) == ["stem", "after"]


class Entrance(nn.Module):
    """Bytes are images here, and the middle of it runs in bfloat16."""

    def __init__(self, mixed: bool) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 12, 3, padding=1)
        self.head = nn.Conv2d(12, 1, 1)
        self.mixed = mixed

    def forward(self, x: Tensor) -> Tensor:
        x = x.float() / 255
        with torch.autocast("cpu", torch.bfloat16, enabled=self.mixed):
            y = self.stem(x)
        return self.head(y.relu().float())


@pytest.mark.parametrize("mixed", [False, True])
@pytest.mark.parametrize("kind", [torch.uint8, torch.float32])
def test_networks_that_convert_their_input_are_pruned(kind: torch.dtype, mixed: bool) -> None:
    prunable = trace(Entrance(mixed), torch.zeros(1, 3, 8, 8, dtype=kind))
    assert list(prunable.groups) == ["stem"]


@named(WRITTEN)
def test_constants_that_are_written_in_place_carry_channels(case: Features) -> None:
    prunable = traced(Between(case))
    assert list(prunable.groups) == ["stem", "after"]
    assert holds(prunable)


@named(CHOICES)
def test_a_group_holds_for_every_width_and_every_choice_or_is_locked(case: Features) -> None:
    prunable = traced(Between(case))
    assert "after" in prunable.groups
    assert holds(prunable)
    assert ("stem" in prunable.groups) <= (case.__name__ == "last_channel")


@named(INTEGERS)
def test_values_of_integers_are_no_channels(case: Callable[[Tensor, Tensor], Any]) -> None:
    prunable = traced(Giving(case))
    assert list(prunable.groups) == ["stem"]
    assert set(prunable.locked) == {"head"}


@named(OBJECTS)
def test_channels_inside_of_objects_are_the_output(case: Callable[[Tensor, Tensor], Any]) -> None:
    prunable = traced(Giving(case))
    assert prunable.groups == {}
    assert prunable.locked == {"stem": OUTPUT, "head": OUTPUT}


@named(TRAINING)
def test_what_was_pruned_trains(case: Callable[[], nn.Module]) -> None:
    model = case()
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    random = torch.get_rng_state()
    prunable = traced(model)
    assert torch.equal(torch.get_rng_state(), random)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    pruned = prunable.pruned({name: group.step for name, group in prunable.groups.items()}).train()
    arguments: dict[type, tuple[Tensor, ...]] = {
        Targets: (IMAGE, torch.rand(2, 1, 8, 8)),
        SecondInput: (IMAGE, torch.rand(2, 1, 8, 8)),
    }
    for _ in range(2):
        for output in output_tensors(pruned(*arguments.get(type(model), (IMAGE,)))):
            output.square().mean().backward(retain_graph=True)


def test_layers_of_training_say_so() -> None:
    assert list(traced(Dropping()).groups) == ["stem"]
    assert traced(Auxiliary()).locked["aux.0"] == "it runs in training only"
    may = "which does not run on the example input, may read them"
    assert traced(Targets()).locked["stem"] == f"aux.0, {may}"
    assert traced(SecondInput()).locked["stem"] == f"hint, {may}"
    assert traced(Later()).locked["aux.0"] == "it runs in training only"
    assert traced(WithGradients()).locked["aux.0"] == "it runs in training only"
    assert traced(Teacher()).locked["stem"] == OUTPUT
    assert OUTPUT in traced(AuxiliaryWeight()).locked["head"]


@pytest.mark.parametrize("kind", [nn.LSTM, nn.GRU, nn.RNN])
def test_recurrent_heads_keep_what_they_read(kind: Any) -> None:
    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Conv2d(3, 12, 3, padding=1)
            self.after = nn.Conv2d(12, 8, 1)
            self.memory = kind(8, 6, batch_first=True)
            self.head = nn.Linear(6, 1)

        def forward(self, x: Tensor) -> Tensor:
            rows = self.after(self.stem(x).relu()).mean(2).transpose(1, 2)
            found: Tensor = self.head(self.memory(rows)[0])
            return found

    prunable = traced(Recurrent())
    assert list(prunable.groups) == ["stem"]
    assert "after" in prunable.locked
    assert holds(prunable)


def test_shared_parameters_are_counted_once() -> None:
    layers = [nn.Conv2d(3, 12, 1), *(nn.Conv2d(12, 12, 1) for _ in range(3)), nn.Conv2d(12, 1, 1)]
    layers[2].weight, layers[2].bias = layers[1].weight, layers[1].bias
    layers[3].bias = layers[0].bias
    model = nn.Sequential(*layers)
    prunable = traced(model)
    assert prunable.parameter_count() == sum(p.numel() for p in model.parameters())
    assert prunable.locked["1"] == "1 and 2 share one weight"
    assert prunable.locked["3"] == "0 and 3 share one bias"


class Gated(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 12, 3, padding=1)
        self.head, self.gate = nn.Conv2d(12, 2, 1), nn.Conv2d(12, 2, 1)
        self.bare = nn.Linear(12, 2)

    def forward(self, x: Tensor) -> Tensor:
        y = self.stem(x).relu()
        bias = nn.functional.linear(y.mean((2, 3)), self.bare.weight)
        return self.head(y) * self.gate(y).sigmoid() * bias.mean()


def test_reasons_name_the_layer_that_is_to_blame() -> None:
    locked = traced(Gated()).locked
    assert locked["head"] == OUTPUT
    assert locked["gate"] == f"it can only be pruned together with head: {OUTPUT}"
    assert locked["bare"] == "its weight is read without the layer being called"
    assert locked["stem"] == "a matrix product outside a layer reads its channels"


def test_attention_calls_its_layers_while_it_is_traced() -> None:
    layer = nn.TransformerEncoderLayer(12, 2, 16, batch_first=True).eval()
    before = torch.backends.mha.get_fastpath_enabled()
    prunable = trace(layer, torch.rand(1, 5, 12))
    assert torch.backends.mha.get_fastpath_enabled() == before
    assert "linear1" in prunable.groups
    assert not any("does not run" in reason for reason in prunable.locked.values())


def quantised() -> nn.Module:
    model = nn.Sequential(nn.Conv2d(3, 8, 1), nn.Conv2d(8, 1, 1)).eval()
    model.add_module("2", torch.ao.nn.quantized.Linear(8, 8))
    return model


def fake_quantised() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 8, 1), torch.ao.quantization.FakeQuantize(), nn.Conv2d(8, 1, 1)
    )


def exported() -> nn.Module:
    model = nn.Sequential(nn.Conv2d(3, 8, 1), nn.ReLU(), nn.Conv2d(8, 1, 1))
    return torch.export.export(model, (IMAGE,)).module()


class Wrapper:
    """Holds a network, as a trainer does."""

    def __init__(self) -> None:
        self.model = nn.Conv2d(3, 8, 1)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: torch.jit.script(nn.Sequential(nn.Conv2d(3, 8, 1))), "was scripted from"),
        (lambda: torch.jit.trace(nn.Conv2d(3, 8, 1), IMAGE), "was scripted from"),
        (exported, "exported from"),
        (lambda: nn.Conv2d(3, 8, 1, device="meta"), "meta device"),
        (lambda: nn.Sequential(nn.LazyConv2d(8, 1)), "0 is a lazy layer"),
        (quantised, "2 .*is quantised"),
        (fake_quantised, "1 .*is quantised"),
        (lambda: torch.compile(nn.Conv2d(3, 8, 1)), "attribute ._orig_mod"),
        (lambda: nn.DataParallel(nn.Conv2d(3, 8, 1)), "attribute .module"),
        (Wrapper, "such as its attribute .model"),
        (lambda: nn.Conv2d, "it is a class"),
        (lambda: "fastdepth", "load_model"),
    ],
)
def test_what_is_no_plain_network_is_refused_with_what_to_pass(
    make: Callable[[], Any], words: str
) -> None:
    with pytest.raises(UserError, match=words) as caught:
        trace(make(), IMAGE)
    assert "\n" not in str(caught.value)


class TwoInputs(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = nn.Conv2d(3, 12, 3, padding=1), nn.Conv2d(1, 12, 1)
        self.head = nn.Conv2d(12, 1, 1)

    def forward(self, image: Tensor, hint: Tensor) -> Tensor:
        return self.head((self.left(image) + self.right(hint)).relu())


@pytest.mark.parametrize("by_name", [False, True])
def test_networks_of_several_inputs_are_traced(by_name: bool) -> None:
    hint = torch.rand(2, 1, 8, 8)
    prunable = trace(TwoInputs(), {"image": IMAGE, "hint": hint} if by_name else (IMAGE, hint))
    assert prunable.groups["left"].producers == ("left", "right")
    pruned, masked = prunable.pruned({"left": 5}), prunable.masked({"left": 5})
    assert pruned.right.out_channels == 5
    with torch.no_grad():
        assert torch.allclose(pruned(IMAGE, hint), masked(IMAGE, hint), atol=1e-6)
    given = prunable.example_input
    tensors = list(given.values()) if by_name else list(given)
    assert [tuple(tensor.shape) for tensor in tensors] == [tuple(IMAGE.shape), (2, 1, 8, 8)]
