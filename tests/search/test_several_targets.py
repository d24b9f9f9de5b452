"""One search for several targets."""

import json
import shutil

import pandas as pd
import pytest
from search_case import make_case

import netadapt
from netadapt.errors import UserError
from netadapt.report.run_pictures import plot_runs
from netadapt.search import evaluation

BUDGET_MS = 3.4
QUICK = {"initial_reduction": 0.1, "long_points": 1, "long_steps": 1}


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    """Arguments for two boards: on the second, wide layers cost more."""
    folder = tmp_path_factory.mktemp("boards")
    elsewhere = make_case(folder, attached=False, network="slim:Slim") | {"budget_ms": BUDGET_MS}
    first = folder / "first"
    second = folder / "second"
    shutil.copytree(elsewhere["lut"], first)
    shutil.copytree(elsewhere["lut"], second)
    rows = pd.read_csv(second / "latency.csv", dtype=str, keep_default_na=False)
    for name in ("p10_us", "p50_us", "p90_us"):
        wide = rows["out_channels"].astype(int) >= 32
        rows[name] = (rows[name].astype(float) * (1 + 0.5 * wide)).round(2).astype(str)
    rows.to_csv(second / "latency.csv", index=False)
    target = json.loads((second / "target.json").read_text())
    unsummed = dict.fromkeys(("latency_bytes", "latency_crc32"))
    (second / "target.json").write_text(json.dumps(target | unsummed))
    given = {name: value for name, value in elsewhere.items() if name not in ("lut", "model")}
    return {"luts": [first, second], "checkpoint": elsewhere["model"]} | given | QUICK


def counted(monkeypatch) -> list[str]:
    evaluated = []
    original = evaluation.Evaluator.__call__

    def call(self, job):
        evaluated.append(job.name)
        return original(self, job)

    monkeypatch.setattr(evaluation.Evaluator, "__call__", call)
    return evaluated


@pytest.fixture(scope="module")
def both(case, tmp_path_factory):
    """One search for both boards that nobody disturbed, and what it evaluated."""
    with pytest.MonkeyPatch.context() as patch:
        evaluated = counted(patch)
        return netadapt.search_targets(**case, out=tmp_path_factory.mktemp("both")), evaluated


def fronts(runs) -> list[list[tuple]]:
    columns = ["candidate", "predicted_ms", "delta1_holdout", "params"]
    return [list(run.front[columns].itertuples(index=False, name=None)) for run in runs]


def test_fronts_are_those_of_separate_searches_at_less_cost(case, both, tmp_path, monkeypatch):
    runs, together = both
    assert list(runs) == ["first", "second"]
    evaluated = counted(monkeypatch)
    others = {name: value for name, value in case.items() if name != "luts"}
    apart = [netadapt.search(**others, lut=lut, out=tmp_path / lut.name) for lut in case["luts"]]
    assert fronts(runs.values()) == fronts(apart)
    assert len(together) < len(evaluated)
    for run in runs.values():
        netadapt.load_checkpoint(run.final)
    picture = plot_runs([run.folder for run in runs.values()], tmp_path / "fronts.png")
    assert picture == [tmp_path / "fronts.png"]


def test_a_search_for_targets_that_was_stopped_goes_on(case, both, tmp_path, monkeypatch):
    evaluated = counted(monkeypatch)

    def stop(self, job):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        original = evaluation.Evaluator.__call__

        def until(self, job):
            return original(self, job) if len(evaluated) < len(both[1]) // 2 else stop(self, job)

        patch.setattr(evaluation.Evaluator, "__call__", until)
        with pytest.raises(KeyboardInterrupt):
            netadapt.search_targets(**case, out=tmp_path / "stopped")
    resumed = netadapt.search_targets([], checkpoint="", out=tmp_path / "stopped", resume=True)
    assert fronts(resumed.values()) == fronts(both[0].values())


def test_a_damaged_note_of_another_target_is_not_believed(both, tmp_path):
    runs, _ = both
    out = tmp_path / "both"
    shutil.copytree(runs["first"].folder.parent, out)
    for note in (out / "shared").iterdir():
        note.write_text("first\n{}")
    shutil.rmtree(out / "second")
    again = netadapt.search_targets([], checkpoint="", out=out, resume=True)
    assert fronts(again.values()) == fronts(runs.values())


def test_budgets_are_for_all_or_for_each(case, tmp_path):
    budget = case["budget_ms"]
    case = case | {"budget_ms": [budget, 1.2 * budget]}
    runs = netadapt.search_targets(**case, out=tmp_path / "each")
    asked = [
        json.loads((run.folder / "run.json").read_text())["budget_ms"] for run in runs.values()
    ]
    assert asked == [budget, 1.2 * budget]
    with pytest.raises(UserError, match="3 budgets for 2 tables"):
        netadapt.search_targets(**case | {"budget_ms": [1, 2, 3]}, out=tmp_path / "three")
    with pytest.raises(UserError, match="two tables are called first"):
        netadapt.search_targets(**case | {"luts": case["luts"][:1] * 2}, out=tmp_path / "twice")
    assert not (tmp_path / "three").exists()
    assert not (tmp_path / "twice").exists()
