"""One search over several input sizes."""

import json
import math
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from search_case import made_up_table, make_case
from torch import nn

import netadapt
from netadapt.errors import UserError
from netadapt.latency.workloads import Workload
from netadapt.report.several import read_runs
from netadapt.search import clock, evaluation
from netadapt.search.front import pareto_front

SIZES = ((32, 32), (24, 24))
BUDGET_MS = 0.5  # the base takes more at 32x32, and less at 24x24
QUICK = {"initial_reduction": 0.1, "long_points": 1, "long_steps": 1, "budget_ms": BUDGET_MS}


def by_pixels(workload: Workload) -> float:
    """A latency that grows with the channels and the pixels."""
    _, channels, height, width = workload.inputs[0]
    outputs = 1 if workload.groups > 1 else workload.out_channels
    return (20 + channels * outputs) * height * width / 1024


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    """Arguments of a search over two input sizes, both in one table."""
    folder = tmp_path_factory.mktemp("sizes")
    arguments = make_case(folder, attached=False, network="slim:Slim")
    model = netadapt.load_model(arguments["model"])
    for size in SIZES:
        example = torch.rand(1, 3, *size)
        table = made_up_table(
            folder / "sizes", model, example, attached=False, microseconds=by_pixels
        )
    return arguments | QUICK | {"lut": str(table), "input_sizes": SIZES}


@pytest.fixture(scope="module")
def finished(case, tmp_path_factory):
    """A search over two input sizes that nobody disturbed."""
    return netadapt.search(**case, out=tmp_path_factory.mktemp("runs") / "run")


def test_the_front_is_that_of_all_points_of_all_sizes(finished):
    rows = finished.candidates
    kept = rows.iloc[pareto_front(rows["predicted_ms"], rows["delta1_holdout"])]
    assert set(rows["input_size"]) == {"32x32", "24x24"}
    assert set(finished.front["checkpoint"]) == set(kept["checkpoint"])
    assert list(pd.read_csv(finished.folder / "pareto.csv")["checkpoint"]) == list(
        kept["checkpoint"]
    )


def test_the_answer_is_the_most_accurate_point_within_the_budget(finished):
    rows = finished.candidates
    within = rows[(rows["stage"] == "long") & (rows["predicted_ms"] <= BUDGET_MS)]
    best = within.loc[within["delta1_holdout"].idxmax()]
    assert finished.final == finished.folder / best["checkpoint"]
    assert finished.summary["input_size"] == best["input_size"]


def test_a_checkpoint_remembers_its_own_input_size(finished):
    for row in finished.front.itertuples():
        model = netadapt.load_model(finished.folder / row.checkpoint)
        assert "x".join(map(str, model.spec.input_size)) == row.input_size


def test_a_smaller_base_within_the_budget_is_fine_tuned_as_the_others_are(finished):
    rows = finished.candidates
    small = rows[rows["input_size"] == "24x24"]
    assert list(small["candidate"]) == ["0", "0-long"]
    assert json.loads((finished.folder / "24x24/summary.json").read_text())["final"] == "0-long"


def test_at_the_first_size_it_is_the_search_at_that_size_alone(case, finished, tmp_path):
    others = {name: value for name, value in case.items() if name != "input_sizes"}
    alone = netadapt.search(**others, out=tmp_path / "alone")
    columns = ["candidate", "predicted_ms", "delta1_holdout", "delta1_test", "params"]
    rows = finished.candidates
    first = rows[rows["input_size"] == "32x32"][columns].reset_index(drop=True)
    pd.testing.assert_frame_equal(first, alone.candidates[columns])


def test_a_point_scores_the_same_again_where_truth_is_taken_at_the_first_size(case, finished):
    row = finished.candidates.set_index("checkpoint").loc["24x24/checkpoints/0-long.safetensors"]
    scores = netadapt.evaluate(
        finished.folder / row.name, case["data"], task_options={"truth_size": "32x32"}
    )
    assert scores["delta1"] == pytest.approx(row["delta1_test"], rel=1e-5)
    assert scores["rmse"] == pytest.approx(row["rmse_test"], rel=1e-5)


def test_a_speedup_is_relative_to_the_base_at_the_first_size(case, tmp_path):
    del (case := dict(case))["budget_ms"]
    run = netadapt.search(**case | {"speedup": 2.0}, out=tmp_path / "run")
    rows = run.candidates
    base = rows[rows["stage"] == "base"].set_index("input_size")["predicted_ms"]
    finals = [
        json.loads((run.folder / name / "summary.json").read_text())["final_ms"]
        for name in base.index
    ]
    assert base["24x24"] > base["32x32"] / 2
    assert all(ms <= base["32x32"] / 2 for ms in finals)
    assert finals[1] > base["24x24"] / 2
    assert [one.budget_ms for one in read_runs([run.folder])[0]] == pytest.approx(
        [base["32x32"] / 2] * 2, rel=1e-5
    )


def true_ms(model: Any, size: tuple[int, int] | None = None) -> float:
    """What ``model`` takes on an undisturbed machine, at its own input size unless told."""
    convolutions = [module for module in model.modules() if isinstance(module, nn.Conv2d)]
    work = sum(one.weight.numel() for one in convolutions)
    return (1000 + work) * math.prod(size or model.spec.input_size) / 1e6


class DriftingClock:
    """Stands in for ``timed_rounds`` on a machine that becomes slower with every call."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, models, example_input, *_) -> clock.Rounds:
        self.calls += 1
        row = np.array([true_ms(model, example_input.shape[2:]) for model in models])
        return clock.Rounds((1 + self.calls / 50) * np.repeat(row[:, None], 3, axis=1))


def test_a_speedup_holds_at_every_size_on_a_machine_that_becomes_slower(
    case, tmp_path, monkeypatch
):
    del (case := dict(case))["budget_ms"]
    monkeypatch.setattr(clock, "timed_rounds", drifting := DriftingClock())
    monkeypatch.setattr(clock, "why_not_attached", lambda target: None)
    run = netadapt.search(**case | {"speedup": 2.0}, out=tmp_path / "run")
    assert drifting.calls > 20
    slowdowns, base = [], true_ms(netadapt.load_model(case["model"]))
    measured = run.candidates.set_index("checkpoint")["measured_ms"].dropna()
    for name, ms in measured.items():
        if (run.folder / str(name)).exists():
            slowdowns.append(ms / true_ms(netadapt.load_model(run.folder / str(name))))
    assert len(slowdowns) > 6
    assert max(slowdowns) / min(slowdowns) < 1.02
    for name in ("32x32", "24x24"):
        final = json.loads((run.folder / name / "summary.json").read_text())["final"]
        answer = netadapt.load_model(run.folder / name / f"checkpoints/{final}.safetensors")
        assert true_ms(answer) <= 1.02 * base / 2


def test_a_base_teaches_at_the_size_that_it_was_trained_at(case, tmp_path, monkeypatch):
    original = evaluation.Evaluator.__call__
    teachers: dict[tuple[int, int], set[tuple[str, bool]]] = {}

    def call(self, job):
        size = self._base.task.input_size
        teachers.setdefault(size, set()).add((job.stage, job.teacher is not None))
        return original(self, job)

    monkeypatch.setattr(evaluation.Evaluator, "__call__", call)
    netadapt.search(**case | {"strategy": "netadapt-fast"}, out=tmp_path / "run")
    assert teachers[SIZES[0]] == {("base", False), ("short", True), ("long", True)}
    assert teachers[SIZES[1]] == {("base", False), ("long", False)}


def test_nothing_is_searched_where_the_base_is_within_the_budget_at_the_first_size(case, tmp_path):
    run = netadapt.search(**case | {"budget_ms": 10.0}, out=tmp_path / "run")
    assert run.final == run.folder / "32x32/checkpoints/0.safetensors"
    assert not (run.folder / "24x24").exists()


class Killed(BaseException):
    """Ends a search at once."""


@pytest.mark.parametrize("before", ["first", "second"])
def test_a_search_that_was_stopped_goes_on_over_all_sizes(
    case, finished, tmp_path, monkeypatch, before
):
    out, original = tmp_path / "stopped", evaluation.Evaluator.__call__

    def call(self, job):
        if job.stage == "long" if before == "first" else (out / "24x24").exists():
            raise Killed
        return original(self, job)

    with monkeypatch.context() as patch:
        patch.setattr(evaluation.Evaluator, "__call__", call)
        with pytest.raises(Killed):
            netadapt.search(**case, out=out)
    resumed = netadapt.search(out=out, resume=True, input_sizes=SIZES)
    pd.testing.assert_frame_equal(resumed.front, finished.front)
    assert resumed.final.relative_to(out) == finished.final.relative_to(finished.folder)


def test_a_base_that_changed_between_two_sizes_is_noticed(case, tmp_path, monkeypatch):
    base = tmp_path / "base.safetensors"
    netadapt.save_checkpoint(netadapt.load_model(case["model"]), base, input_size=SIZES[0])
    out, original = tmp_path / "run", evaluation.Evaluator.__call__

    def call(self, job):
        outcome = original(self, job)
        if job.stage == "long":
            netadapt.save_checkpoint(netadapt.load_model("slim:Slim"), base, input_size=SIZES[0])
        return outcome

    monkeypatch.setattr(evaluation.Evaluator, "__call__", call)
    with pytest.raises(UserError, match=r"the base network .* changed"):
        netadapt.search(**case | {"model": str(base)}, out=out)


def test_a_network_that_is_an_object_is_searched_at_all_sizes(case, finished, tmp_path):
    model = netadapt.load_model(case["model"])
    run = netadapt.search(**case | {"model": model}, out=tmp_path / "run")
    pd.testing.assert_frame_equal(run.front, finished.front)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"input_size": (32, 32)}, "not both"),
        ({"budget_ms": None, "min_accuracy": 0.1}, "takes a budget, not --min-accuracy"),
        ({"input_sizes": ((32, 32),)}, "give 2 to 8 sizes"),
        ({"input_sizes": ((32, 32), (24, 24), (24, 24))}, "24x24 is there twice"),
        ({"input_sizes": ((24, 24), (32, 16))}, "the largest comes first"),
        ({"input_sizes": ((32, 32), (16, 16))}, r"sizes 16x16: no entry .*--input-size 16x16"),
        ({"task": "self-supervised"}, "task self-supervised has no option truth_size"),
        ({"budget_ms": 0.001}, r"32x32: budget 0.001 ms .*--task-option truth_size=32x32"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_written(case, tmp_path, changes, words):
    with pytest.raises(UserError, match=words):
        netadapt.search(**case | changes, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_several_targets_and_several_sizes_are_not_searched_at_once(case, tmp_path):
    given = {name: value for name, value in case.items() if name not in ("lut", "model")}
    with pytest.raises(UserError, match="several --lut or --input-sizes, not both"):
        netadapt.search_targets(
            [case["lut"], tmp_path / "other"], checkpoint=case["model"], **given, out=tmp_path / "x"
        )


def test_a_resumed_search_keeps_its_sizes(finished):
    with pytest.raises(UserError, match="has the input sizes 32x32,24x24"):
        netadapt.search(out=finished.folder, resume=True, input_sizes=((32, 32), (16, 16)))
    again = netadapt.search(out=finished.folder, resume=True, data="synthetic:24")
    assert again.final == finished.final
