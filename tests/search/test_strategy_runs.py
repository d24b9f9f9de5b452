"""A whole search, small, with each of the strategies."""

from functools import partial

import pandas as pd
import pytest
from mortal import dies
from search_case import search_on
from strategy_case import WALKING, taken
from torch import nn

import netadapt
from netadapt.report import plot_front, read_run
from netadapt.search.journal import IterationBegan, Journal

QUICK = {
    "initial_reduction": 0.1, "candidates": 2, "saliency_batches": 2, "population": 5,
    "generations": 2, "recalibration_batches": 1, "long_points": 1, "long_steps": 1,
    "speedup": 1.25,
}  # fmt: skip


GROUPS = ("first.0", "second.0", "third.0")


@pytest.fixture(scope="module")
def runs(slim, tmp_path_factory):
    """One run of each strategy but the published one."""
    folder = tmp_path_factory.mktemp("strategies")
    names = ("uniform", "random", "magnitude", "taylor", "knapsack", "evolution")
    return {
        name: netadapt.search(**slim | taken(name, **QUICK), strategy=name, out=folder / name)
        for name in names
    }


def test_each_reaches_the_budget_and_keeps_the_best(runs):
    for name, run in runs.items():
        rows = run.candidates.set_index("candidate")
        budget = rows.loc["0", "predicted_ms"] / QUICK["speedup"]
        met = rows["predicted_ms"] <= budget * (1 + 1e-5)  # rows are rounded
        within = rows[met & (rows["stage"] == "long")]
        assert rows.loc[run.final.stem, "delta1_holdout"] == within["delta1_holdout"].max(), name
        assert list(run.front.columns[12:]) == list(GROUPS)
        model = netadapt.load_checkpoint(run.final)
        assert model.spec.widths == {group: rows.loc[run.final.stem, group] for group in GROUPS}


def test_proposals_follow_the_schedule_and_are_cut_from_the_pick_before(runs):
    for name in ("uniform", "random", "magnitude", "taylor", "knapsack"):
        run = runs[name]
        rows = run.candidates.set_index("candidate")
        picked = rows[rows["selected"] & (rows["stage"] != "long")]
        events = Journal(run.folder / "journal.jsonl").events
        iterations = [event for event in events if isinstance(event, IterationBegan)]
        for event, before in zip(iterations, picked.index, strict=False):
            assert event.target_ms is not None
            for proposal in event.proposals:
                assert proposal.predicted_ms <= event.target_ms
                assert all(proposal.widths[group] <= rows.loc[before, group] for group in GROUPS)


def test_the_cost_of_a_search_is_counted(runs, slim):
    batch = slim["batch_size"]
    for name, run in runs.items():
        facts = run.summary
        short = batch * QUICK["recalibration_batches"] if name == "evolution" else batch * 1
        assert facts["training_samples"]["short"] == short * facts["candidates"]
        saliencies = batch * QUICK["saliency_batches"] if name in ("taylor", "knapsack") else 0
        assert facts["training_samples"]["proposing"] == saliencies * facts["iterations"]
        samples = run.candidates["training_samples"].sum()
        assert samples + facts["training_samples"]["proposing"] == sum(
            facts["training_samples"].values()
        )


def test_a_generation_is_an_iteration_and_no_network_is_scored_twice(runs):
    run = runs["evolution"]
    short = run.candidates[run.candidates["stage"] == "short"]
    assert sorted(short["iteration"].unique()) == [1, 2]
    assert not short.duplicated(list(GROUPS)).any()
    first = short[short["iteration"] == 1]
    assert (first[list(GROUPS)] == 8).all(axis=1).sum() == 1  # the narrowest is among them


def test_fronts_are_overlaid_under_the_strategies_names(runs):
    views = [read_run(run.folder) for run in runs.values()]
    labels = [text.get_text() for text in plot_front(views).legends[0].get_texts()]
    for label, name in zip(labels, runs, strict=False):
        assert label.startswith(f"{name} ({name}): hypervolume ")
    assert all(set(view.groups) == set(GROUPS) for view in views)


@pytest.mark.slow
def test_a_killed_evolution_resumes_to_the_same(runs, slim, tmp_path):
    out = tmp_path / "run"
    arguments = slim | taken("evolution", **QUICK) | {"strategy": "evolution"}
    # within the first generation, and within the second, which is drawn after a resumption
    for event, moment in [(5, "torn"), (5, "whole")]:
        assert dies(partial(search_on, arguments), out, event, moment, of="journal.jsonl")
    resumed = netadapt.search(out=out, resume=True)
    undisturbed = runs["evolution"]
    pd.testing.assert_frame_equal(resumed.candidates, undisturbed.candidates)
    pd.testing.assert_frame_equal(resumed.front, undisturbed.front)
    assert resumed.final.name == undisturbed.final.name
    assert resumed.final.read_bytes() == undisturbed.final.read_bytes()
    assert resumed.summary == undisturbed.summary


@pytest.mark.parametrize("strategy", [*WALKING, "evolution"])
def test_locked_groups_stay_as_wide_whatever_the_strategy(slim, tmp_path, strategy):
    quick = taken(strategy, **QUICK) | {"short_steps": 0, "long_steps": 0, "speedup": 1.02}
    run = netadapt.search(
        **slim | quick, strategy=strategy, lock=["second.0"], out=tmp_path / "run"
    )
    base, final = netadapt.load_model(slim["model"]), netadapt.load_model(run.final)
    before, after = (
        {name: module.out_channels for name, module in model.named_modules()
         if isinstance(module, nn.Conv2d)}
        for model in (base, final)
    )  # fmt: skip
    narrower = {name for name in before if after[name] < before[name]}
    assert narrower
    assert "second.0" not in narrower
    assert "second.0" not in run.candidates.columns
    assert before["second.0"] == 40  # it could be narrower
