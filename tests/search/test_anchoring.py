"""The clock anchors the walk: budgets hold on machines that drift, throttle and stutter."""

import itertools
import json
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
from fake_clock import FakeClock, fine_case, true_ms
from strategy_case import taken

import netadapt
from netadapt.errors import UserError
from netadapt.search import clock
from netadapt.search.clock import _agreed, _reading
from netadapt.search.journal import Anchored, IterationBegan, Journal, Measured, Selected
from netadapt.search.problem import Problem
from netadapt.search.progress import SearchProgress
from netadapt.search.settings import SearchSettings
from netadapt.search.strategies.uniform import uniform_widths
from netadapt.training.checkpoint import load_checkpoint

QUICK = {
    "short_steps": 0, "long_steps": 0, "long_points": 2,
    "anchor_every": 1, "initial_reduction": 0.05,
}  # fmt: skip
MACHINES: dict[str, dict[str, Any]] = {
    "steady": {},
    "slower and slower": {"speed": lambda visit: 1 + visit / 400},
    "faster and faster": {"speed": lambda visit: 1 / (1 + visit / 400)},
    "throttling": {"speed": lambda visit: 1.4 if visit % 300 > 150 else 1.0},
    "waves": {"speed": lambda visit: 1.2 + 0.2 * math.sin(visit / 40)},
    "stuttering": {"noise": 0.02, "slow_loads": 7},
}


@pytest.fixture(scope="module")
def attached(tmp_path_factory):
    """Arguments of a search whose table has all latencies wrong, each in its own way."""
    return fine_case(tmp_path_factory.mktemp("attached")) | QUICK


def events(run):
    return Journal(run.folder / "journal.jsonl").events


def true_ratio(run):
    """The undisturbed latency of the answer, as a share of the base's."""
    base = load_checkpoint(run.folder / "checkpoints" / "0.safetensors")
    return true_ms(load_checkpoint(run.final)) / true_ms(base)


@pytest.mark.parametrize(
    ("strategy", "machine"),
    [*(("uniform", machine) for machine in MACHINES), ("netadapt", "throttling"),
     ("netadapt", "stuttering"), ("netadapt-fast", "waves")],
)  # fmt: skip
def test_the_answer_is_as_fast_as_asked_and_hardly_faster(
    attached, tmp_path, monkeypatch, strategy, machine
):
    FakeClock(**MACHINES[machine]).install(monkeypatch)
    own = taken(strategy, saliency_batches=1)
    run = netadapt.search(**attached, **own, speedup=1.25, strategy=strategy, out=tmp_path / "run")
    slack = 0.005 if machine == "stuttering" else 1e-3  # what a noisy clock cannot tell
    assert 0.98 / 1.25 - slack <= true_ratio(run) <= 1 / 1.25 + slack


def test_a_budget_in_ms_is_met_by_the_clock(attached, tmp_path, monkeypatch):
    FakeClock().install(monkeypatch)
    base_ms = true_ms(load_checkpoint(attached["model"]))
    budget = 0.85 * base_ms
    run = netadapt.search(**attached, budget_ms=budget, out=tmp_path / "run")
    rows = run.candidates.set_index("candidate")
    final = rows.loc[run.final.stem]
    assert 0.98 * budget <= final["measured_ms"] <= budget
    assert final["measured_ms"] == pytest.approx(true_ms(load_checkpoint(run.final)), rel=1e-4)
    assert rows.loc["0", "measured_ms"] == pytest.approx(base_ms, rel=1e-4)
    assert final["latency_source"] == "measured"


def test_predictions_are_anchored_at_the_network_the_walk_stands_at(
    attached, tmp_path, monkeypatch
):
    FakeClock(speed=lambda visit: 1 + visit / 2000).install(monkeypatch)
    run = netadapt.search(**attached, speedup=1.3, out=tmp_path / "run")
    rows = run.candidates
    picked = rows[rows["selected"] & rows["measured_ms"].notna() & (rows["iteration"] > 0)]
    errors = (picked["predicted_ms"] / picked["measured_ms"] - 1).abs()
    assert len(errors) > 2
    assert errors.mean() < 0.02
    assert set(rows["latency_source"]) <= {"measured", "anchored"}
    ordered = pd.read_csv(run.folder / "pareto.csv")
    best = ordered["measured_ms"].fillna(ordered["predicted_ms"])
    assert best.is_monotonic_increasing
    assert ordered["likelihood_holdout"].is_monotonic_increasing


def test_the_walk_is_anchored_at_its_start_and_after_every_selection(
    attached, tmp_path, monkeypatch
):
    FakeClock().install(monkeypatch)
    run = netadapt.search(**attached, speedup=1.3, strategy="uniform", out=tmp_path / "run")
    journal = events(run)
    assert isinstance(journal[1], Anchored)
    assert journal[1].name == "0"
    for event, after in itertools.pairwise(journal):
        if isinstance(event, Selected):
            assert isinstance(after, Anchored)
            assert after.name == event.name
    assert sum(isinstance(event, Measured) for event in journal) == 1


@pytest.mark.parametrize("every", [2, 3])
def test_anchors_can_be_fewer(attached, tmp_path, monkeypatch, every):
    FakeClock().install(monkeypatch)
    few = attached | {"anchor_every": every, "initial_reduction": 0.03}
    run = netadapt.search(**few, speedup=1.25, strategy="uniform", out=tmp_path / "run")
    names = [int(e.name.split("-")[0]) for e in events(run) if isinstance(e, Anchored)]
    near = next(e.iteration for e in events(run) if isinstance(e, IterationBegan) and e.measured_ms)
    far = [number for number in names if number < near - 1]
    assert far[1:]
    assert all(number % every == 0 for number in far)
    assert 0.98 / 1.25 <= true_ratio(run) <= 1 / 1.25


def test_candidates_near_the_end_are_timed_before_they_are_trained(attached, tmp_path, monkeypatch):
    FakeClock().install(monkeypatch)
    run = netadapt.search(**attached, speedup=1.25, out=tmp_path / "run")
    last = [event for event in events(run) if isinstance(event, IterationBegan)][-1]
    assert set(last.measured_ms) == {proposal.name for proposal in last.proposals}
    assert last.base_ms is not None
    limit = last.base_ms / 1.25
    assert all(0.98 * limit <= ms <= limit for ms in last.measured_ms.values())


def test_where_channels_go_many_at_a_time_the_nearest_network_below_is_taken(
    attached, tmp_path, monkeypatch
):
    FakeClock().install(monkeypatch)
    coarse = attached | {"channel_multiple": 8, "initial_reduction": 0.3}
    run = netadapt.search(**coarse, speedup=1.1, strategy="uniform", out=tmp_path / "run")
    last = [event for event in events(run) if isinstance(event, IterationBegan)][-1]
    assert len(last.proposals) == 1
    space = Problem(SearchSettings.parse(coarse | {"speedup": 1.1}), coarse["model"]).space
    networks = [space.costs.prunable.pruned(dict(zip(space.grid.full, row, strict=True)))
                for row in uniform_widths(space.grid).tolist()]  # fmt: skip
    ratios = [true_ms(network) / true_ms(networks[0]) for network in networks]
    assert true_ratio(run) == pytest.approx(max(ratio for ratio in ratios if ratio <= 1 / 1.1))


def test_a_resumed_search_repeats_what_the_clock_said(attached, tmp_path, monkeypatch):
    machine = FakeClock(speed=lambda visit: 1 + visit / 3000, noise=0.01)
    machine.install(monkeypatch)

    class Stops(SearchProgress):
        def selected(self, state, name):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        netadapt.search(**attached, speedup=1.25, out=tmp_path / "run", progress=Stops())
    before = Journal(tmp_path / "run" / "journal.jsonl").events
    other = FakeClock(speed=lambda _: 3.0).install(monkeypatch)  # another day
    run = netadapt.search(out=tmp_path / "run", resume=True)
    assert other.calls
    assert events(run)[: len(before)] == before
    assert 0.98 / 1.25 - 0.005 <= true_ratio(run) <= 1 / 1.25 + 0.005
    again = FakeClock().install(monkeypatch)
    netadapt.search(out=tmp_path / "run", resume=True)
    assert not again.calls


def test_a_base_that_is_fast_enough_already_ends_the_search(attached, tmp_path, monkeypatch):
    FakeClock().install(monkeypatch)
    told = []

    class Told(SearchProgress):
        def noted(self, text):
            told.append(text)

    base_ms = true_ms(load_checkpoint(attached["model"]))
    run = netadapt.search(
        **attached, budget_ms=base_ms / 0.8, out=tmp_path / "run", progress=Told()
    )
    assert run.final.stem == "0"
    assert list(run.candidates["candidate"]) == ["0"]
    assert "the base network is within the budget already, by 20.0 %" in run.summary["ended"]
    assert any("within the budget already, by 20.0 %" in text for text in told)
    assert netadapt.search(out=tmp_path / "run", resume=True).final == run.final


def test_the_summary_says_how_a_search_ended_and_how_far_the_machine_drifted(
    attached, tmp_path, monkeypatch
):
    FakeClock(speed=lambda visit: 1.0 if visit < 40 else 1.1).install(monkeypatch)
    run = netadapt.search(**attached, speedup=1.2, strategy="uniform", out=tmp_path / "run")
    facts = json.loads((run.folder / "summary.json").read_text())
    assert facts["final"] == run.final.stem
    assert facts["ended"].startswith("within the budget: ")
    start, end = facts["base_ms_at_start"], facts["base_ms_at_end"]
    assert end == pytest.approx(1.1 * start)
    (note,) = run.notes
    assert f"{start:.3g} ms at the start" in note
    assert f"{end:.3g} ms at the end" in note


def test_a_steady_machine_is_no_news(attached, tmp_path, monkeypatch):
    FakeClock(speed=lambda visit: 1 + visit / 1e6).install(monkeypatch)
    run = netadapt.search(**attached, speedup=1.2, strategy="uniform", out=tmp_path / "run")
    assert run.notes == ()


def test_a_speedup_works_with_predictions_alone(attached, tmp_path, monkeypatch):
    monkeypatch.setattr(clock, "why_not_attached", lambda target: "it is a board elsewhere")
    arguments = attached | {"speedup": 1.1}
    run = netadapt.search(**arguments, out=tmp_path / "run")
    rows = run.candidates.set_index("candidate")
    predicted = rows["predicted_ms"].to_dict()
    limit = predicted["0"] / 1.1
    assert 0.9 * limit <= predicted[run.final.stem] <= limit * (1 + 1e-5)
    assert rows["measured_ms"].isna().all()
    assert set(rows["latency_source"]) == {"predicted"}


@pytest.mark.parametrize(
    ("goals", "message"),
    [
        ({"speedup": 1.5, "budget_ms": 20.0}, "give --budget-ms or --speedup, not both"),
        ({"speedup": 1.5, "min_accuracy": 0.5}, "give a budget or --min-accuracy, not both"),
        ({"speedup": 1.0}, "--speedup 1.0: "),
        ({"speedup": 900.0}, "cannot be met: at the smallest widths"),
        ({"speedup": 1.5, "anchor_every": 0}, "--anchor-every 0: "),
    ],
)
def test_a_speedup_that_cannot_be_is_refused(elsewhere, tmp_path, goals, message):
    arguments = {name: value for name, value in elsewhere.items() if name != "budget_ms"}
    with pytest.raises(UserError, match=message):
        netadapt.search(**arguments | goals, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_reading_in_which_one_network_ran_slow_does_not_count():
    random = np.random.default_rng(0)
    for network in range(3):
        readings = []
        for slow in (False, True, False, False):
            rounds = np.outer([2.0, 1.0, 1.5], 1 + 0.3 * random.random(6))
            rounds[network] *= 1.7 if slow else 1.0
            readings.append(_reading(rounds))
        _, *ratios = _agreed(np.stack(readings))
        assert ratios == pytest.approx([0.5, 0.75])
