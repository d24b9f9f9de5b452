import json

import numpy as np
import pandas as pd
import pytest
import torch
from search_case import WIDTHS

import netadapt
from netadapt.errors import UserError
from netadapt.search import networks, start
from netadapt.search.front import pareto_front
from netadapt.search.journal import IterationBegan, Journal


def test_a_search_reaches_its_budget_and_keeps_the_front(finished, elsewhere):
    budget = elsewhere["budget_ms"]
    assert "instead of another board" in finished.predicted_only
    front, everything = finished.front, finished.candidates
    assert list(front.columns[:11]) == [
        "candidate", "iteration", "stage", "predicted_ms", "measured_ms", "delta1_holdout",
        "delta1_test", "rmse_test", "macs", "params", "checkpoint",
    ]  # fmt: skip
    assert list(front.columns[11:]) == ["latency_source", *WIDTHS]
    assert set(everything["latency_source"]) == {"predicted"}
    kept = pareto_front(everything["predicted_ms"], everything["delta1_holdout"])
    answer = finished.final.stem
    assert set(front["candidate"]) == {*everything["candidate"].iloc[kept], answer}
    final = everything.set_index("candidate").loc[finished.final.stem]
    assert final["stage"] == "long"
    assert final["predicted_ms"] <= budget
    within = everything[(everything["stage"] == "long") & (everything["predicted_ms"] <= budget)]
    assert final["delta1_holdout"] == within["delta1_holdout"].max()


def test_every_row_is_what_its_checkpoint_is(finished):
    rows = finished.candidates
    for row in rows[rows["stage"] != "short"].itertuples():
        model = netadapt.load_checkpoint(finished.folder / row.checkpoint)
        assert sum(p.numel() for p in model.parameters()) == row.params
        traced = netadapt.trace(model, torch.rand(1, 3, 32, 32))
        assert traced.operations.macs(traced.vector({})) == row.macs
        assert traced.widths == {name: rows.loc[row.Index, name] for name in WIDTHS}


def test_iterations_follow_the_paper(finished, elsewhere):
    events = Journal(finished.folder / "journal.jsonl").events
    iterations = [event for event in events if isinstance(event, IterationBegan)]
    rows = finished.candidates.set_index("candidate")
    picked = rows[rows["selected"] & (rows["stage"] != "long")]
    base_ms = picked["predicted_ms"].iloc[0]
    for number, event in enumerate(iterations, start=1):
        assert event.target_ms is not None
        before = picked["predicted_ms"].iloc[number - 1]
        reduction = base_ms * 0.05 * 0.97 ** (number - 1)
        wanted = max(elsewhere["budget_ms"], before - reduction)
        # halved as often as no group could reach it by itself
        halvings = np.log2((before - wanted) / (before - event.target_ms))
        assert halvings == pytest.approx(round(halvings), abs=0.01)
        assert halvings >= -0.01
        scores = {p.name: rows.loc[p.name, "delta1_holdout"] for p in event.proposals}
        assert picked.index[number] == max(scores, key=lambda name: scores[name])
        for proposal in event.proposals:
            changed = {g for g in WIDTHS if proposal.widths[g] != picked[g].iloc[number - 1]}
            assert changed == {proposal.group}
            assert proposal.predicted_ms <= event.target_ms


def test_resuming_a_finished_search_changes_nothing(finished):
    before = {p.name: p.read_bytes() for p in finished.folder.iterdir() if p.is_file()}
    again = netadapt.search(out=finished.folder, resume=True)
    assert again.final == finished.final
    assert before == {p.name: p.read_bytes() for p in finished.folder.iterdir() if p.is_file()}


def test_a_resumed_search_keeps_its_arguments(finished):
    with pytest.raises(UserError, match="has short_steps 1, not 7"):
        netadapt.search(out=finished.folder, resume=True, short_steps=7)


def test_a_resumed_search_may_compute_elsewhere(finished, monkeypatch):
    devices = []

    class Recorded(networks.Networks):
        def __init__(self, base, folder, device):
            devices.append(str(device))
            super().__init__(base, folder, "cpu")

    monkeypatch.setattr(start, "Networks", Recorded)
    monkeypatch.setattr("netadapt.training.device.torch.cuda.device_count", lambda: 2)
    netadapt.search(out=finished.folder, resume=True, train_on="cuda:1")
    netadapt.search(out=finished.folder, resume=True)
    assert devices == ["cuda:1", "cpu"]


def test_a_candidate_that_diverges_is_recorded_and_never_chosen(tmp_path, elsewhere, monkeypatch):
    from netadapt.search import evaluation
    from netadapt.training.loop import TrainingDiverged, fit

    calls = []

    def sometimes(model, task, settings, **listeners):
        calls.append(settings)
        if len(calls) == 2:
            raise TrainingDiverged("training diverged: the loss is nan at step 1")
        return fit(model, task, settings, **listeners)

    monkeypatch.setattr(evaluation, "fit", sometimes)
    run = netadapt.search(**elsewhere, out=tmp_path / "run")
    failed = run.candidates[run.candidates["delta1_holdout"].isna()]
    assert len(failed) == 1
    assert not failed["selected"].any()
    assert not set(failed["candidate"]) & set(run.front["candidate"])

    def always(model, task, settings, **listeners):
        raise TrainingDiverged("training diverged: the loss is nan at step 1")

    monkeypatch.setattr(evaluation, "fit", always)
    with pytest.raises(UserError, match="every candidate of iteration 1 failed, 2 of 2 with"):
        netadapt.search(**elsewhere, out=tmp_path / "other")


def test_selection_by_ratio_picks_the_least_lost_per_ms(tmp_path, elsewhere):
    run = netadapt.search(**elsewhere | {"select": "ratio"}, out=tmp_path / "run")
    rows = run.candidates[run.candidates["stage"] != "long"]
    base, first = rows.iloc[0], rows[rows["iteration"] == 1]
    ratio = (base["delta1_holdout"] - first["delta1_holdout"]) / (
        base["predicted_ms"] - first["predicted_ms"]
    )
    assert first.loc[ratio.idxmin(), "selected"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"budget_ms": 1.0}, "budget 1 ms cannot be met"),
        ({"budget_ms": -1.0}, "--budget-ms -1.0: give a number above 0"),
        ({"budget_ms": float("nan")}, "--budget-ms nan: "),
        ({"metrics": ("speed",)}, "unknown metric 'speed'"),
        ({"strategy": "magic"}, "--strategy magic: unknown strategy; known: netadapt, "),
        ({"colour": "red"}, "colour"),
        ({"lut": "nowhere"}, "latency table nowhere does not exist"),
        ({"data": "pairs:nowhere"}, "nowhere"),
        ({"model": "nowhere.safetensors"}, "nowhere.safetensors"),
        ({"train_on": "tpu"}, "unknown device 'tpu'; use auto, cpu or cuda"),
        ({"train_on": "cuda:99"}, "device cuda:99 is not there"),
        ({"train_on": "cuda", "executor": "ray"}, "--train-on is an option of executor inline"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_written(
    elsewhere, tmp_path, changes, message
):
    with pytest.raises(UserError, match=message):
        netadapt.search(**elsewhere | changes, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_run_folder_in_use_is_left_alone(finished, elsewhere):
    with pytest.raises(UserError, match="exists and is not empty"):
        netadapt.search(**elsewhere, out=finished.folder)


def test_two_searches_never_share_a_run(finished):
    from netadapt.search.run_folder import RunFolder

    with (
        RunFolder(finished.folder).locked(),
        pytest.raises(UserError, match="in use by another search"),
    ):
        netadapt.search(out=finished.folder, resume=True)


def test_samples_show_the_final_network(finished):
    with np.load(finished.folder / "samples.npz", allow_pickle=False) as samples:
        assert samples["rgb"].dtype == np.uint8
        assert samples["rgb"].shape == (len(samples["names"]), 32, 32, 3)
        rgb = torch.from_numpy(samples["rgb"]).permute(0, 3, 1, 2).float() / 255
        with torch.no_grad():
            again = netadapt.load_checkpoint(finished.final)(rgb)[:, 0].numpy()
        place = list(samples["candidates"]).index(samples["final"])
        assert samples["final"] == finished.final.stem
        np.testing.assert_allclose(samples["answers"][place], again, atol=0.05)


def test_run_json_says_which_score_counts(finished):
    facts = json.loads((finished.folder / "run.json").read_text())
    assert facts["score"] == "delta1"
    assert facts["higher_is_better"] is True


def test_front_reads_as_a_frame(finished):
    assert isinstance(finished.front, pd.DataFrame)
    assert finished.front["predicted_ms"].is_monotonic_increasing
    assert finished.front["delta1_holdout"].is_monotonic_increasing
