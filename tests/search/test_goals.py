"""What a search may be asked for: budgets, several of them, or an accuracy to keep."""

import json

import numpy as np
import pytest
import torch
from fake_clock import FakeClock
from hypothesis import given
from hypothesis import strategies as st
from search_case import make_case
from strategy_case import taken

import netadapt
from netadapt.depth.task import DepthTask
from netadapt.errors import UserError
from netadapt.search.costs import Costs
from netadapt.search.goal import Goal, Kind
from netadapt.search.journal import IterationBegan, Journal
from netadapt.search.progress import SearchProgress
from netadapt.search.state import SearchState

QUICK = {
    "short_steps": 0, "long_steps": 0, "long_points": 1, "initial_reduction": 0.1,
    "saliency_batches": 1, "population": 4, "generations": 2, "recalibration_batches": 1,
}  # fmt: skip
KINDS: tuple[Kind, ...] = ("ms", "macs", "params", "mb")
AMOUNT = st.floats(0.01, 1e9)


@given(st.dictionaries(st.sampled_from(KINDS), AMOUNT, min_size=1))
def test_a_load_of_one_is_the_budgets_themselves(limits):
    goal = Goal(limits)
    assert goal.at(1.0) == limits
    assert goal.met(goal.at(1.0))
    assert goal.load(goal.at(2.0)) == pytest.approx(2.0)
    for kind in limits:
        over = {**limits, kind: 1.5 * limits[kind]}
        assert not goal.met(over)
        assert goal.load(over) == pytest.approx(1.5)


@pytest.mark.parametrize(
    ("strategy", "shares"),
    [
        ("netadapt", {"macs": 0.6}),
        ("uniform", {"params": 0.6}),
        ("knapsack", {"mb": 0.75}),
        ("netadapt", {"ms": 0.93, "macs": 0.7, "params": 0.8}),
        ("evolution", {"ms": 0.93, "macs": 0.7, "mb": 0.8}),
    ],
)
def test_every_budget_holds_at_the_end(slim, tmp_path, strategy, shares, base_costs):
    budgets = {f"budget_{kind}": share * base_costs[kind] for kind, share in shares.items()}
    arguments = slim | budgets | taken(strategy, **QUICK)
    run = netadapt.search(**arguments, strategy=strategy, out=tmp_path / "run")
    rows = run.candidates.set_index("candidate")
    final = rows.loc[run.final.stem]
    columns = {"ms": "predicted_ms", "mb": "peak_mb"}
    for kind, share in shares.items():
        assert final[columns.get(kind, kind)] <= share * base_costs[kind] * (1 + 1e-5)  # %.6g
    model = netadapt.load_checkpoint(run.final)
    assert sum(p.numel() for p in model.parameters()) == final["params"]
    events = Journal(run.folder / "journal.jsonl").events
    for event in (e for e in events if isinstance(e, IterationBegan)):
        assert set(event.targets) == set(shares) - {"ms"}
        assert (event.target_ms is None) == ("ms" not in shares)


@pytest.fixture(scope="module")
def base_costs(slim):
    model = netadapt.load_checkpoint(slim["model"])
    prunable = netadapt.trace(model, torch.rand(1, 3, 32, 32))
    predictor = netadapt.LatencyPredictor(prunable, netadapt.LatencyTable.load(slim["lut"]))
    costs, full = Costs(prunable, predictor), prunable.vector({})[None]
    return {kind: float(costs.batch(kind, full)[0]) for kind in KINDS}


def test_the_budget_violated_most_is_the_one_that_falls(slim, tmp_path, base_costs):
    # half of the parameters, nearly all of the latency
    budgets = {"budget_ms": 0.98 * base_costs["ms"], "budget_params": 0.5 * base_costs["params"]}
    run = netadapt.search(
        **slim | budgets | taken("uniform", **QUICK) | {"initial_reduction": 0.05},
        strategy="uniform", out=tmp_path / "run",
    )  # fmt: skip
    events = Journal(run.folder / "journal.jsonl").events
    first = next(event for event in events if isinstance(event, IterationBegan))
    assert first.targets["params"] == pytest.approx(0.95 * base_costs["params"])
    # the latency's limit is as far above its budget, as a share, and so does not bind yet
    assert first.target_ms == pytest.approx(1.9 * budgets["budget_ms"])


@pytest.mark.parametrize("strategy", ["uniform", "evolution"])
def test_a_clock_slower_than_predicted_is_met_by_any_strategy(tmp_path, monkeypatch, strategy):
    FakeClock().install(monkeypatch)
    arguments = make_case(tmp_path, attached=True) | taken(strategy, **QUICK) | {"speedup": 1.1}
    run = netadapt.search(**arguments, strategy=strategy, out=tmp_path / "run")
    rows = run.candidates.set_index("candidate")
    final = rows.loc[run.final.stem]
    assert final["measured_ms"] <= rows["measured_ms"]["0"] / 1.1
    assert final["latency_source"] == "measured"


def test_an_accuracy_to_keep_ends_the_walk_above_it(slim, tmp_path, monkeypatch):
    score = DepthTask.score

    def falling(task, model, split):  # so that the walk crosses the line at a known network
        size = sum(p.numel() for p in model.parameters())
        return score(task, model, split) | {"delta1": size / 30_000}

    monkeypatch.setattr(DepthTask, "score", falling)
    told = []

    class Told(SearchProgress):
        def noted(self, text):
            told.append(text)

    arguments = slim | taken("uniform", **QUICK)
    run = netadapt.search(
        **arguments, min_accuracy=0.5, strategy="uniform", out=tmp_path / "run", progress=Told()
    )
    rows = run.candidates
    walk = rows[rows["selected"]]
    above = walk[walk["delta1_holdout"] >= 0.5]
    assert list(walk["candidate"])[:-1] == list(above["candidate"])
    assert walk["delta1_holdout"].iloc[-1] < 0.5
    end, after = walk["candidate"].iloc[-2], walk["candidate"].iloc[-1]
    assert run.final.stem == f"{end}-long"
    (line,) = [text for text in told if text.startswith("stopped at")]
    assert line.startswith(f"stopped at {end}: ")
    assert f"{after}, the next, scored" in line
    assert f"{after}-long" not in set(rows["candidate"])

    narrowest = netadapt.search(
        **arguments, min_accuracy=0.0, strategy="uniform", out=tmp_path / "all", progress=Told()
    )
    assert any(text.endswith("no group can be made narrower") for text in told)
    last = narrowest.candidates.set_index("candidate").loc[narrowest.final.stem]
    assert all(last[group] == 8 for group in ("first.0", "second.0", "third.0"))

    with pytest.raises(UserError, match="is above what the base network scores on the holdout"):
        netadapt.search(**arguments, min_accuracy=0.99, out=tmp_path / "never")
    assert not (tmp_path / "never").exists()


@pytest.mark.parametrize(
    ("goals", "message"),
    [
        ({}, "a search needs --budget-ms"),
        ({"budget_ms": 20.0, "min_accuracy": 0.5}, "give a budget or --min-accuracy, not both"),
        ({"min_accuracy": 0.1, "strategy": "evolution"}, "give it a budget"),
        ({"budget_params": 10}, "budget 10 parameters cannot be met: at the smallest widths"),
        ({"budget_macs": 10}, "budget 10 MACs cannot be met"),
        ({"budget_mb": 1e-3}, "budget 0.001 MB cannot be met"),
        ({"budget_mb": -1}, "--budget-mb .*: give a number above 0"),
        ({"budget_ms": 24.5, "population": 1}, "--population 1: give"),
        ({"budget_ms": 24.5, "candidates": 0}, "--candidates 0: give"),
    ],
)
def test_a_goal_that_cannot_be_is_refused_before_anything_is_written(
    slim, tmp_path, goals, message
):
    with pytest.raises(UserError, match=message):
        netadapt.search(**slim | goals, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_training_images_are_counted(finished, elsewhere):
    rows = finished.candidates
    each = {"base": 0, "short": 1 * 4, "long": 2 * 4}
    assert (rows["training_samples"] == rows["stage"].map(each)).all()
    counts = rows["stage"].value_counts()
    assert finished.summary["training_samples"] == {
        "proposing": 0,
        "short": 4 * counts["short"],
        "long": 8 * counts["long"],
    }
    assert finished.summary["candidates"] == counts["short"]
    assert finished.summary["iterations"] == rows["iteration"].max()


def test_journals_older_than_the_count_are_read(finished, tmp_path):
    lines = []
    for line in (finished.folder / "journal.jsonl").read_text().splitlines():
        event = json.loads(line)
        for name in ("training_samples", "targets", "chain"):
            event.pop(name, None)
        for name in ("base", "candidate"):
            for field in ("training_samples", "peak_mb"):
                event.get(name, {}).pop(field, None)
        lines.append(json.dumps(event))
    (tmp_path / "journal.jsonl").write_text("\n".join(lines) + "\n")
    state = SearchState(higher_is_better=True).replay(Journal(tmp_path / "journal.jsonl").events)
    assert state.finished == finished.final.stem
    assert state.training_samples() is None
    assert np.isfinite(state.current.predicted_ms)
