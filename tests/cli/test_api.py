"""The commands from Python: names, paths and networks are all taken; nobody need watch."""

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from stock import SIZE
from torch import nn

import netadapt
from netadapt.latency.target import Options
from netadapt.search.jobs import BASE


@pytest.fixture
def small(stock, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(Path(__file__).parent), *sys.path])
    return stock / "small.safetensors"


def test_a_network_is_trained_and_scored(stock, here):
    data = f"pairs:{stock}/pairs"
    final = netadapt.train(
        stock / "tiny.safetensors", data, "out", input_size=SIZE, steps=1, batch_size=2
    )
    assert final.name == "model.safetensors"
    scores = netadapt.evaluate(final, data)
    assert scores == netadapt.evaluate(str(final), data=data, train_on="cpu")
    assert scores == netadapt.evaluate(netadapt.load_model(str(final)), data)
    assert netadapt.train(out="out", resume=True) == final


def kinds(path):
    """A model in every way that it can be given."""
    network = netadapt.load_model(path)
    return [network, path, str(path), network.spec.name]


@pytest.mark.parametrize("kind", range(4), ids=["network", "path", "text", "name"])
def test_every_function_takes_every_kind_of_model(small, here, kind):
    """A name has fresh weights and remembers no input size."""
    given: dict[str, Any] = {"input_size": SIZE} if kind == 3 else {}
    model, data = kinds(small)[kind], f"pairs:{small.parent}/pairs"
    stats = netadapt.measure(model, target=Options(), runs=4, **given)
    assert 0 < stats.p10_ms <= stats.p50_ms <= stats.p90_ms
    made = netadapt.export(model, path=here / "small.onnx", **given)
    assert netadapt.load_model(made.path)(torch.rand(1, 3, *SIZE)).shape == (1, 1, *SIZE)
    assert 0 <= netadapt.evaluate(model, data, **given)["delta1"] <= 1
    quick: dict[str, Any] = {"steps": 1, "batch_size": 2}
    final = netadapt.train(model, data, here / "training", **quick, **given)
    assert netadapt.train(out=here / "training", resume=True) == final
    assert netadapt.load_model(final).spec.input_size == SIZE
    quick = {"budget_ms": 150, "short_steps": 0, "long_steps": 0, "long_points": 1}
    lut = small.parent / "lut" / "board"
    run = netadapt.search(model, data=data, lut=lut, out=here / "run", **quick, **given)
    assert netadapt.search(out=here / "run", resume=True).final == run.final
    if kind != 3:
        before, after = (netadapt.load_model(path) for path in (small, run.folder / BASE))
        assert torch.equal(before.first.weight, after.first.weight)


def test_a_network_of_unknown_origin_is_refused(here):
    made_here: Any = nn.Conv2d(3, 1, 1)
    with pytest.raises(netadapt.UserError, match="has no record of how it was built"):
        netadapt.train(made_here, "synthetic:4", "out")
    with pytest.raises(netadapt.UserError, match="has no record of how it was built"):
        netadapt.search(made_here, data="synthetic:4", lut="lut", budget_ms=1)
    with pytest.raises(netadapt.UserError, match="needs path"):
        netadapt.export("fastdepth")


def test_what_is_wrong_is_named_as_on_the_command_line(here):
    with pytest.raises(netadapt.UserError, match="--lr -1: give a number above 0"):
        netadapt.train("fastdepth", "synthetic:4", "out", steps=1, lr=-1)
    with pytest.raises(netadapt.UserError, match="needs --out"):
        netadapt.train("fastdepth", "synthetic:4")
    with pytest.raises(netadapt.UserError, match="--short-lr 0: give a number above 0 and at most"):
        netadapt.search("fastdepth", data="synthetic:4", lut="lut", budget_ms=1, short_lr=0)
    with pytest.raises(netadapt.UserError, match="unknown option 'shrt_lr'; known: model"):
        netadapt.search("fastdepth", data="x", lut="lut", budget_ms=1, shrt_lr=1)  # type: ignore[call-arg]


@pytest.mark.parametrize("target", [None, "cpu", Options(), "table"])
def test_a_table_is_profiled_for_a_target_however_it_is_said(small, here, monkeypatch, target):
    """What is measured is tested with the profiler; here, what it is asked to measure."""
    asked = []
    monkeypatch.setattr(
        "netadapt.profiling.profiler.profile",
        lambda prunable, table, progress, schedule: asked.append((prunable, table, schedule)),
    )
    if target == "table":
        target = small.parent / "lut" / "made-up"
    table = netadapt.profile(small, target=target, runtime="torch", lut=here / "new")
    (prunable, given, schedule) = asked[0]
    assert given is table
    assert table.target.runtime == "torch"
    assert table.folder.parent == here / "new"
    assert prunable.example_input.shape == (1, 3, *SIZE)
    assert schedule.channel_multiple == 8
