from collections.abc import Callable, Sized

import pytest
import torch
import torch.nn.functional as F
from small_networks import NETWORKS, Network, Residual, Separable, built, example
from torch import Tensor, nn

from netadapt.depth.models.fastdepth import GROUPS
from netadapt.errors import UserError
from netadapt.pruning import PrunableModel, trace


def test_fastdepth_has_the_16_groups_it_names(thin: PrunableModel) -> None:
    assert tuple(thin.groups) == GROUPS
    assert len(GROUPS) == 16
    assert {name: group.name for name, group in thin.groups.items()} == {g: g for g in GROUPS}
    assert thin.widths == thin.model.spec.options["widths"]


@pytest.mark.parametrize(("encoder", "decoder"), [(5, 2), (3, 3), (1, 4)])
def test_the_two_sides_of_a_skip_are_one_group(
    thin: PrunableModel, encoder: int, decoder: int
) -> None:
    producers = thin.groups[f"conv{encoder}.3"].producers
    assert f"decode_conv{decoder}.1.0" in producers
    assert f"conv{encoder + 1}.0" in producers  # the depthwise convolutions behind them
    assert f"decode_conv{decoder + 1}.0.0" in producers


def test_every_convolution_of_fastdepth_but_the_head_is_in_one_group(thin: PrunableModel) -> None:
    producers = [name for group in thin.groups.values() for name in group.producers]
    convolutions = {n for n, m in thin.model.named_modules() if isinstance(m, nn.Conv2d)}
    assert len(producers) == len(set(producers)) == 37
    assert set(producers) == convolutions - {"decode_conv6.0"}
    assert thin.locked == {"decode_conv6.0": "its channels are the network's output"}


@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_groups_of_networks_worked_out_by_hand(network: Network) -> None:
    model = built(network)
    prunable = trace(model, example(network.shape))
    assert {n: g.producers for n, g in prunable.groups.items()} == network.groups
    for name, group in prunable.groups.items():
        module = model.get_submodule(name)
        out = module.out_features if isinstance(module, nn.Linear) else module.out_channels
        assert group.width == out
    reasons = {"its channels are the network's output", "it has a single channel"}
    assert reasons.issuperset(prunable.locked.values())


@pytest.mark.parametrize("network", NETWORKS, ids=str)
def test_tracing_and_pruning_leave_the_network_as_it_was(network: Network) -> None:
    model = built(network).train()
    next(model.children()).eval()
    frozen = next(model.parameters()).requires_grad_(False)
    for number, parameter in enumerate(model.parameters()):
        if parameter is not frozen:
            parameter.grad = torch.full_like(parameter, number)

    def state() -> list[object]:
        return [
            *(module.training for module in model.modules()),
            *(p.requires_grad for p in model.parameters()),
            *(None if p.grad is None else p.grad.tolist() for p in model.parameters()),
            *((name, tensor.tolist()) for name, tensor in model.state_dict().items()),
            *(id(tensor) for tensor in (*model.parameters(), *model.buffers())),
            *(sum(map(len, _hooks(module))) for module in model.modules()),
            torch.get_rng_state().tolist(),
        ]

    before = state()
    prunable = trace(model, example(network.shape))
    assert state() == before
    prunable.pruned(dict.fromkeys(prunable.groups, 1))
    prunable.masked(dict.fromkeys(prunable.groups, 1))
    assert state() == before


def _hooks(module: nn.Module) -> tuple[Sized, ...]:
    return module._forward_hooks, module._forward_pre_hooks


def test_frozen_parameters_are_traced_and_stay_frozen() -> None:
    network = NETWORKS[0]
    model = built(network).requires_grad_(False)
    prunable = trace(model, example(network.shape))
    assert {n: g.producers for n, g in prunable.groups.items()} == network.groups
    pruned = prunable.pruned({"stem": 3})
    assert not any(parameter.requires_grad for parameter in pruned.parameters())


def test_tracing_is_possible_without_gradients() -> None:
    with torch.no_grad():
        assert trace(built(NETWORKS[0]), example(NETWORKS[0].shape)).groups


class Middle(nn.Module):
    """Whatever stands in the middle decides whether ``stem`` can be pruned."""

    def __init__(self, middle: nn.Module) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.middle = middle
        self.after = nn.Conv2d(8, 8, 1)
        self.head = nn.Conv2d(8, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(self.after(self.middle(self.stem(x)))))


class Scale(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.factor = nn.Parameter(torch.rand(1, 8, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor


class SharedScale(nn.Module):
    """Two modules hold the same parameter, which nobody can cut for both."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = Scale(), Scale()
        self.second.factor = self.first.factor

    def forward(self, x: Tensor) -> Tensor:
        return self.second(self.first(x))


class ConstantScale(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("factor", torch.rand(1, 8, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return x * self.factor


class Normalised(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.softmax(x, 1)


class Attention(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(2)
        return (tokens.transpose(1, 2) @ tokens @ tokens.transpose(1, 2)).mT.reshape(x.shape)


class FirstFour(nn.Module):
    """Takes four channels, however many there are."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x[:, :4] * 2, x[:, 4:]], 1)


class LearnedFilter(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.filters = nn.Parameter(torch.rand(8, 8, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return F.conv2d(x, self.filters)


@pytest.mark.parametrize(
    ("middle", "words"),
    [
        (nn.LayerNorm((8, 8, 8)), "all of its channels are standardised together by middle"),
        (nn.GroupNorm(1, 8), "standardised together by middle (--allow-approximate prunes them)"),
        (SharedScale(), "a bare parameter in middle.first holds a value for each of its channels"),
        (ConstantScale(), "a constant in middle holds a value for each of its channels"),
        (Normalised(), "all of its channels are normalised together"),
        (Attention(), "attention reads the channels of a head as one"),
        (FirstFour(), "its channels cannot be followed through concat of middle"),
        (LearnedFilter(), "a convolution outside a layer reads its channels"),
        (nn.Softmax2d(), "all of its channels are normalised together"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else "",
)
def test_what_cannot_be_cut_is_locked_with_the_reason(middle: nn.Module, words: str) -> None:
    prunable = trace(Middle(middle), torch.rand(1, 3, 8, 8))
    assert words in prunable.locked["stem"]
    assert "\n" not in prunable.locked["stem"]
    assert "after" in prunable.groups


def test_a_group_of_one_channel_is_locked() -> None:
    model = nn.Sequential(nn.Conv2d(3, 1, 1), nn.Conv2d(1, 4, 1), nn.Conv2d(4, 1, 1))
    prunable = trace(model, torch.rand(1, 3, 8, 8))
    assert prunable.locked["0"] == "it has a single channel"
    assert list(prunable.groups) == ["1"]


class Detached(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.unseen = nn.Conv2d(3, 8, 1)
        self.unused = nn.Conv2d(3, 8, 1)
        self.seen = nn.Conv2d(8, 8, 1)
        self.head = nn.Conv2d(8, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.seen(self.unseen(x).detach()))


def test_what_autograd_does_not_see_is_traced_and_what_does_not_run_is_locked() -> None:
    prunable = trace(Detached(), torch.rand(1, 3, 8, 8))
    assert list(prunable.groups) == ["unseen", "seen"]
    assert prunable.locked == {
        "unused": "it does not run on the example input",
        "head": "its channels are the network's output",
    }


class TiedWeights(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(8, 8, 1, bias=False)
        self.second = nn.Conv2d(8, 8, 1, bias=False)
        self.second.weight = self.first.weight
        self.head = nn.Conv2d(8, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(torch.relu(self.second(torch.relu(self.first(x)))))


class ChannelMean(nn.Module):
    """Its answer depends on how many channels there are, zero or not."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(self.stem(x)).mean(1, keepdim=True)


def test_layers_that_share_a_weight_are_locked() -> None:
    prunable = trace(TiedWeights(), torch.rand(1, 8, 4, 4))
    assert not prunable.groups
    assert prunable.locked["first"] == "first and second share one weight"


class Counting(nn.Module):
    """Multiplies by how many channels it has, which no operation tells."""

    def __init__(self, output: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 1)
        self.after = nn.Conv2d(8, 8, 1)
        self.head = nn.Conv2d(8, 2, 1)
        self.output = output

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x) * self.stem.out_channels
        return self.output(self.head(torch.relu(self.after(x))))


@pytest.mark.parametrize(
    "output",
    [lambda x: x, lambda x: torch.sigmoid(1e6 + x), lambda x: x * torch.nan],
    ids=["plain", "saturated", "not a number"],
)
def test_layers_that_cutting_would_change_beyond_masking_are_locked(
    output: Callable[[Tensor], Tensor],
) -> None:
    prunable = trace(Counting(output), torch.rand(1, 3, 4, 4))
    assert "stem" not in prunable.groups
    assert "changes the output" in prunable.locked["stem"]


def test_channels_that_are_averaged_are_never_pruned_unnoticed() -> None:
    prunable = trace(ChannelMean(), torch.rand(1, 3, 4, 4))
    assert prunable.groups == {}
    assert "stem" in prunable.locked


class FixedSplits(nn.Module):
    """Splits every eighth layer at its fourth channel, however many there are."""

    runs = 0

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv2d(3 if n == 0 else 8, 8, 1) for n in range(40))

    def forward(self, x: Tensor) -> Tensor:
        FixedSplits.runs += 1
        for number, layer in enumerate(self.layers):
            x = layer(x)
            if number % 8 == 3:
                left, right = x.split(4, dim=1)
                x = torch.cat([right, torch.tanh(left)], 1)
        return x


def test_splits_at_a_fixed_channel_are_found_without_trying_every_group() -> None:
    prunable = trace(FixedSplits(), torch.rand(1, 3, 4, 4))
    assert prunable.locked.keys() == {f"layers.{n}" for n in (3, 11, 19, 27, 35, 39)}
    assert FixedSplits.runs < 4 * len(prunable.groups)


@pytest.mark.parametrize(
    ("model", "shape", "words"),
    [
        (Residual(), (1, 4, 8, 8), r"cannot trace Residual .*\(1, 4, 8, 8\).*channels"),
        (Separable(), (8,), "cannot trace Separable"),
        (nn.ReLU(), (1, 3, 8, 8), "ReLU has no convolution or linear layer"),
    ],
)
def test_a_network_that_cannot_be_traced_is_refused_in_one_line(
    model: nn.Module, shape: tuple[int, ...], words: str
) -> None:
    with pytest.raises(UserError, match=words) as caught:
        trace(model, torch.rand(shape))
    assert "\n" not in str(caught.value)
