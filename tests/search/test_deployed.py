"""A search on an int8 table scores what it would deploy."""

import shutil
from pathlib import Path

import pandas as pd
import pytest
from search_case import SIZE, make_case

from netadapt import search
from netadapt.deployment.simulated import Int8Simulation, SimulatedNetwork
from netadapt.depth import open_depth
from netadapt.errors import UserError
from netadapt.search.base_network import BaseNetwork
from netadapt.search.candidate import Proposal
from netadapt.search.evaluation import Evaluator, Job
from netadapt.search.networks import Networks
from netadapt.search.settings import SearchSettings
from netadapt.training.calibration import calibration_frames
from netadapt.training.checkpoint import load_model


def test_chosen_points_are_exported_and_scored_from_their_files(tmp_path: Path) -> None:
    case = make_case(tmp_path, attached=False, precision="int8", network="slim:Slim")
    run = search(**case, speedup=1.05, qat=2, out=tmp_path / "run")
    rows = pd.read_csv(run.folder / "candidates.csv").set_index("candidate")
    long = {name for name in rows.index if name.endswith("-long")}
    assert {name for name in rows.index if name.endswith("-qat")} == {f"{n}-qat" for n in long}
    assert (rows.loc[[f"{name}-qat" for name in long], "training_samples"] == 2 * 4).all()
    filed = rows[rows["delta1_test_deployed"].notna()]
    assert set(filed["stage"]) == {"base", "long"}
    assert set(filed.index) == set(rows.index[rows["stage"] != "short"])
    task = open_depth("synthetic:24", SIZE)
    for name, row in filed.iterrows():
        network = load_model(
            run.folder / Path(row["checkpoint"]).with_suffix(".onnx"), deployed=True
        )
        assert network.precision == "int8"
        assert task.score(network, "test")["delta1"] == pytest.approx(
            row["delta1_test_deployed"], abs=1e-5
        )
        holdout = task.score(network, "holdout")["delta1"]
        assert holdout == pytest.approx(row["delta1_holdout"], abs=1e-5), name
    within = rows[(rows["stage"] == "long") & (rows["predicted_ms"] < rows["predicted_ms"].max())]
    assert within.loc[run.final.stem, "delta1_holdout"] == within["delta1_holdout"].max()
    assert search(out=run.folder, resume=True).final == run.final


def test_short_term_scores_are_those_of_int8_simulated(tmp_path: Path) -> None:
    case = make_case(tmp_path, attached=False, precision="int8")
    settings = SearchSettings.parse({**case, "speedup": 1.05, "short_steps": 0})
    folder = tmp_path / "run"
    (folder / "checkpoints").mkdir(parents=True)
    shutil.copy(case["model"], folder / "checkpoints/0.safetensors")
    scores = {}
    for precision in ("fp32", "int8"):
        base = BaseNetwork(settings, case["model"], 1, precision)
        widths = base.prunable.widths
        proposal = Proposal(name="1-a", iteration=1, group="", widths=widths, predicted_ms=1.0)
        evaluate = Evaluator(base, Networks(base, folder))
        scores[precision] = evaluate(Job(proposal, "short", "checkpoints/0.safetensors", 0)).score
    model = load_model(case["model"]).eval()
    frames = calibration_frames(base.task, 32)
    simulated = SimulatedNetwork(model, Int8Simulation.observed(model, frames.split(4)))
    assert scores["int8"] == base.task.score(simulated, "holdout")["delta1"]
    assert scores["fp32"] == base.task.score(model, "holdout")["delta1"]


def test_qat_is_refused_where_nothing_is_int8(tmp_path: Path) -> None:
    case = make_case(tmp_path, attached=False)
    with pytest.raises(UserError, match=r"--qat is for int8 tables; .* is fp32"):
        search(**case, speedup=1.05, qat=2, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_search_on_an_fp32_table_exports_nothing(tmp_path: Path) -> None:
    case = make_case(tmp_path, attached=False)
    run = search(**case, speedup=1.05, out=tmp_path / "run")
    assert "delta1_test_deployed" not in pd.read_csv(run.folder / "candidates.csv")
    assert not list(run.folder.rglob("*.onnx"))
