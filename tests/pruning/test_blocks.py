"""Whole blocks that are left out: which there are, and that nothing else changes."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from small_networks import example, random_norms
from torch import Tensor, nn

import netadapt
from netadapt.depth.models import FastDepth
from netadapt.depth.models.fastdepth import PRESETS
from netadapt.errors import UserError
from netadapt.pruning import PrunableModel, trace
from netadapt.pruning.operations import record_operations
from netadapt.training.checkpoint import load_pruned

SIZE = (1, 3, 32, 32)


@pytest.fixture(scope="module")
def fastdepth() -> PrunableModel:
    """FastDepth with an eighth of its channels: it has the blocks of the full one."""
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        model = FastDepth({name: width // 8 for name, width in PRESETS["full"].items()})
        random_norms(model)
    head = model.decode_conv6[1]
    assert isinstance(head, nn.BatchNorm2d)
    nn.init.constant_(head.bias, 3.0)  # the last ReLU must let something through
    return trace(model, example(SIZE), blocks=True)


def layer(given: int, made: int, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(given, made, 3, stride, 1, bias=False), nn.BatchNorm2d(made), nn.ReLU()
    )


class Inverted(nn.Module):
    """Expands, passes on, projects, and adds to what it was given where the shapes agree."""

    def __init__(self, given: int, made: int, stride: int = 1) -> None:
        super().__init__()
        self.body = nn.Sequential(
            layer(given, 12), nn.Sequential(nn.Conv2d(12, 12, 3, stride, 1, groups=12), nn.ReLU6()),
            nn.Conv2d(12, made, 1),
        )  # fmt: skip
        self.adds = stride == 1 and given == made

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x) if self.adds else self.body(x)


class Listening(nn.Module):
    """Its answer is not all that it is asked for."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = layer(8, 8)
        self.heard = torch.zeros(())

    def forward(self, x: Tensor) -> Tensor:
        x = self.inner(x)
        self.heard = x.mean((2, 3), keepdim=True)
        return x


class Mixed(nn.Module):
    """Residual blocks of a stage, plain ones, and what looks like one and is none."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = layer(3, 8)
        self.stage = nn.Sequential(Inverted(8, 8), Inverted(8, 8))
        self.down = Inverted(8, 8, stride=2)
        self.plain = layer(8, 8)
        self.listened = Listening()
        self.twice = layer(8, 8)
        self.head = nn.Conv2d(8, 2, 1)

    def forward(self, image: Tensor) -> Tensor:
        x = self.plain(self.down(self.stage(self.stem(image))))
        x = self.twice(self.twice(self.listened(x))) * (1 + self.listened.heard)
        return F.interpolate(self.head(x), scale_factor=2)


@pytest.fixture(scope="module")
def mixed() -> PrunableModel:
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        return trace(random_norms(Mixed()), example(SIZE), blocks=True)


@contextmanager
def unheard(model: nn.Module, blocks: Sequence[str]) -> Iterator[None]:
    """While open, what ``blocks`` are given goes on in place of what they answer."""
    handles = [
        model.get_submodule(name).register_forward_hook(lambda _, given, __: given[0].clone())
        for name in blocks
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def test_the_repeated_blocks_of_fastdepth_are_found(
    fastdepth: PrunableModel, thin: PrunableModel
) -> None:
    ties = {name: block.tie for name, block in fastdepth.blocks.items()}
    repeated = (3, 5, 7, 8, 9, 10, 11, 13)
    assert ties == {f"conv{n}": (f"conv{n - 1}.3", f"conv{n}.3") for n in repeated}
    assert list(fastdepth.widths)[-len(ties) :] == list(ties)
    assert not thin.blocks


def test_residual_blocks_come_first_and_what_is_heard_elsewhere_is_none(
    mixed: PrunableModel,
) -> None:
    ties = {name: block.tie for name, block in mixed.blocks.items()}
    assert ties == {
        "stage.0": None,
        "stage.1": None,
        "plain": ("down.body.2", "plain.0"),
        "listened.inner": ("plain.0", "listened.inner.0"),
    }


@pytest.mark.parametrize("name", ["fastdepth", "mixed"])
@settings(max_examples=3, deadline=None)
@given(data=st.data())
def test_a_dropped_block_hands_on_what_it_is_given(
    name: str, request: pytest.FixtureRequest, data: st.DataObject
) -> None:
    prunable: PrunableModel = request.getfixturevalue(name)
    dropped = data.draw(st.lists(st.sampled_from(list(prunable.blocks)), unique=True))
    image = example(SIZE, seed=1)
    without = prunable.pruned(dict.fromkeys(dropped, 0))
    with torch.no_grad(), unheard(prunable.model, dropped):
        wanted = prunable.model(image)
        assert torch.equal(without(image), wanted)
    assert wanted.abs().max() > 0
    held = {name for name, _ in without.named_parameters()}
    assert not any(name.startswith(tuple(f"{b}." for b in dropped)) for name in held if dropped)


@pytest.mark.parametrize("name", ["fastdepth", "mixed"])
@settings(max_examples=3, deadline=None)
@given(data=st.data())
def test_dropping_and_cutting_answer_as_masking(
    name: str, request: pytest.FixtureRequest, data: st.DataObject
) -> None:
    """And the network costs what is predicted of it."""
    prunable: PrunableModel = request.getfixturevalue(name)
    dropped = data.draw(st.lists(st.sampled_from(list(prunable.blocks)), unique=True))
    random = np.random.default_rng(data.draw(st.integers(0, 2**32 - 1)))
    widths = {
        group: int(random.integers(1, one.width + 1)) for group, one in prunable.groups.items()
    }
    tied = prunable.tied({**widths, **dict.fromkeys(dropped, 0)})
    scores = {group: random.random(one.width) for group, one in prunable.groups.items()}
    image = example(SIZE, seed=1)
    without = prunable.pruned(tied, scores)
    operations, got = record_operations(without, image)
    with torch.no_grad():
        wanted = prunable.masked(tied, scores)(image)
    assert float((got - wanted).abs().max() / wanted.abs().max()) < 1e-5
    assert prunable.operations.at(prunable.vector(tied)) == tuple(operations)
    assert prunable.parameter_count(tied) == sum(p.numel() for p in without.parameters())


def test_files_remember_what_was_dropped_over_generations(
    fastdepth: PrunableModel, tmp_path: Path
) -> None:
    image = fastdepth.example_input
    once = fastdepth.pruned(fastdepth.tied({"conv8": 0, "conv9": 0, "conv3": 0, "conv7.3": 40}))
    child = fastdepth.descend(once)
    assert child.widths == once.spec.widths
    assert {child.widths[f"conv{n}.3"] for n in (7, 8, 9)} == {40}
    twice = child.pruned(child.tied({"conv10": 0, "conv9.3": 24, "conv10.3": 56}))
    netadapt.save_checkpoint(twice, tmp_path / "twice.safetensors", input_size=(32, 32))
    for again in (
        netadapt.load_checkpoint(tmp_path / "twice.safetensors"),
        load_pruned(tmp_path / "twice.safetensors", fastdepth),
    ):
        assert torch.equal(again(image), twice(image))
        assert again.spec.widths == twice.spec.widths
    # a network of that file is searched in turn: what is gone has no name in it
    anew = trace(again, image, blocks=True)
    assert "conv8.3" not in anew.groups
    assert "conv8" not in anew.blocks
    last = anew.pruned({"conv7.3": 8, "conv5": 0})
    assert {last.spec.widths[f"conv{n}.3"] for n in (7, 8, 9, 10)} == {8}
    netadapt.save_checkpoint(last, tmp_path / "last.safetensors", input_size=(32, 32))
    for again in (
        netadapt.load_checkpoint(tmp_path / "last.safetensors"),
        load_pruned(tmp_path / "last.safetensors", anew),
    ):
        assert torch.equal(again(image), last(image))


def test_what_cannot_be_dropped_is_said(fastdepth: PrunableModel, tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"conv8 cannot be dropped: group conv7\.3, .* has 64 .* 8;"
    ):
        fastdepth.pruned({"conv8": 0, "conv8.3": 8})
    with pytest.raises(UserError, match="block conv8 cannot have width 2, only 0 or 1"):
        fastdepth.pruned({"conv8": 2})
    with pytest.raises(UserError, match="unknown channel group 'conv4'"):
        fastdepth.pruned({"conv4": 0})
    without = fastdepth.descend(fastdepth.pruned({"conv8": 0}))
    with pytest.raises(UserError, match="width 1, only 0: it is dropped"):
        without.pruned({"conv8": 1})
    with pytest.raises(UserError, match="conv4 is no block"):
        netadapt.pruning.reshaped(fastdepth.model, fastdepth.example_input, {"conv4": 0})


def test_locked_blocks_stay(mixed: PrunableModel) -> None:
    locked = trace(mixed.model, mixed.example_input, lock="plain", blocks=True)
    # of listened.inner only one side can be pruned
    assert list(locked.blocks) == ["stage.0", "stage.1"]
