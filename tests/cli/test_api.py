"""The commands from Python: names, paths and networks are all taken; nobody need watch."""

import sys
from pathlib import Path

import pytest
from stock import SIZE

import netadapt
from netadapt.latency.target import Options


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
