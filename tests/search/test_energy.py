"""Energy from a powercap tree to a front: the counter of this test counts bytes of weights."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from fake_clock import SIZE
from quick_profile import BRIEF, Stages
from search_case import made_up_table
from torch import nn

from netadapt import search, trace
from netadapt.cli import describe
from netadapt.errors import UserError
from netadapt.latency.energy import EnergyCalibration, fit_energy
from netadapt.latency.predictor import LatencyPredictor
from netadapt.latency.table import LatencyTable
from netadapt.latency.validation import energy_mape, load_validation, summarise
from netadapt.profiling.agent import host
from netadapt.profiling.agent.onnxruntime import OnnxSession
from netadapt.profiling.devices import load_device
from netadapt.profiling.profiler import profile
from netadapt.profiling.runtimes import load_runtime
from netadapt.report.page.run_data import Detail, run_data
from netadapt.report.page.table_data import table_data
from netadapt.report.runs import read_run
from netadapt.search import clock
from netadapt.training.checkpoint import load_model, save_checkpoint

RANGE_UJ = 1_000_000


def network() -> nn.Sequential:
    """A network whose head no width reaches."""
    return nn.Sequential(
        *(nn.Conv2d(3, 96, 3, padding=1), nn.ReLU(), nn.Conv2d(96, 128, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(128, 4, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
    )


def used_mj(size: int) -> float:
    """What a run of a network costs whose graph has ``size`` bytes."""
    return 2.0 + size / 100_000


@pytest.fixture(scope="module")
def powercap(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A package whose counter goes on with every run, and starts over at its range."""
    tree = tmp_path_factory.mktemp("powercap")
    zone = tree / "intel-rapl:0"
    zone.mkdir()
    (zone / "max_energy_range_uj").write_text(str(RANGE_UJ))
    counter = zone / "energy_uj"
    counter.write_text("999000")
    load, output = OnnxSession.__init__, OnnxSession.output

    def loaded(session: Any, model: bytes, *arguments: Any, **options: Any) -> None:
        load(session, model, *arguments, **options)
        session.size = len(model)

    def metered(session: Any) -> Any:
        now = int(counter.read_text()) + round(1000 * used_mj(session.size))
        counter.write_text(str(now % RANGE_UJ))
        return output(session)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(host, "POWERCAP", tree)
        patch.setattr(OnnxSession, "__init__", loaded)
        patch.setattr(OnnxSession, "output", metered)
        yield tree


@pytest.fixture(scope="module")
def case(powercap: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """A base and a table of this machine, profiled with the counter; arguments of a search."""
    folder = tmp_path_factory.mktemp("case")
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        model = load_model("test_energy:network").eval()
    save_checkpoint(model, folder / "base.safetensors", input_size=SIZE)
    prunable = trace(model, torch.rand(1, 3, *SIZE))
    table = LatencyTable.open(
        folder / "lut", load_device("cpu").target(load_runtime("onnxruntime"))
    )
    report = profile(prunable, table, Stages(), BRIEF)
    assert report.energy_mape is not None
    return {
        "model": str(folder / "base.safetensors"),
        "task": "fake_clock:task",
        "lut": str(table.folder),
        "batch_size": 4,
        "short_steps": 0,
        "long_steps": 0,
        "long_points": 1,
        "initial_reduction": 0.3,
        "anchor_every": 100,
    }


def test_the_table_has_a_column_of_energies_and_predicts_them(case: dict[str, Any]) -> None:
    table = LatencyTable.load(case["lut"])
    validation = load_validation(table.folder)
    assert (validation["energy_mj"] > 2).all()
    assert summarise(validation).energy_mape == pytest.approx(
        100 * np.abs(validation["energy_predicted_mj"] / validation["energy_mj"] - 1).mean()
    )
    prunable = trace(load_model(case["model"]).eval(), torch.rand(1, 3, *SIZE))
    predictor = LatencyPredictor(prunable, table)
    rows = np.stack([prunable.vector({}), prunable.vector(dict.fromkeys(prunable.widths, 16))])
    full, narrow = predictor.energy_or_nan(rows)
    assert full > narrow > 0
    facts = describe.latency_range(prunable, table)
    assert facts["predicted_mj"] == pytest.approx(full, abs=1e-4)
    assert 0 < facts["narrowest_mj"] < facts["predicted_mj"]


def test_info_and_the_page_of_the_table_say_its_energy(case: dict[str, Any]) -> None:
    folder = Path(case["lut"])
    facts, page = describe.table(folder), table_data(folder)
    error = summarise(load_validation(folder)).energy_mape
    assert facts["validation"]["energy_mape_percent"] == pytest.approx(error, abs=1e-3)
    assert page["quality"]["energy_mape"] == pytest.approx(error)
    (words,) = [one["energy"] for one in facts["calibrations"]]
    assert re.fullmatch(r"\S+ mJ( \+ \S+ W \* [a-z0-9 ]+)+", words)
    assert [one["energy"] for one in page["calibrations"]] == [words]


def test_a_budget_of_energy_is_met_by_the_counter(
    case: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "FEWEST_RUNS", 5)
    monkeypatch.setattr(clock, "SECONDS_EACH", 0)
    run = search(**case, budget_mj=5.0, out=tmp_path / "run")
    front = pd.read_csv(run.folder / "pareto.csv").set_index("candidate")
    everything = pd.read_csv(run.folder / "candidates.csv").set_index("candidate")
    measured = everything["measured_mj"]
    assert float(measured["0"]) > 5
    assert 0 < float(measured[run.final.stem]) <= 5
    assert front["predicted_mj"].notna().all()
    viewed = read_run(run.folder)
    assert viewed.goal == "budget 5 mJ"
    shown = {row["candidate"]: row for row in describe.run(run.folder)["front"]}
    assert all(row["predicted mJ"] > 0 for row in shown.values())
    known = {name: row["measured mJ"] for name, row in shown.items() if row["measured mJ"]}
    assert known == pytest.approx(measured[list(known)].to_dict(), rel=1e-4)
    assert known
    of_page = run_data(viewed, Detail(samples_px=0))["candidates"]
    energies = dict(zip(of_page["name"], of_page["measured_mj"], strict=True))
    assert energies[run.final.stem] == measured[run.final.stem]
    assert viewed.chosen is not None
    assert str(viewed.chosen["candidate"]) == run.final.stem
    again = search(out=run.folder, resume=True)
    assert again.final == run.final


def test_what_cannot_be_met_is_said_before_anything_is_trained(
    case: dict[str, Any], tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"budget 0\.1 mJ cannot be met: .* mJ"):
        search(**case, budget_mj=0.1, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_without_a_counter_there_is_no_budget_of_energy(
    case: dict[str, Any], tmp_path: Path
) -> None:
    table = made_up_table(tmp_path, network(), torch.rand(1, 3, *SIZE), attached=False)
    with pytest.raises(UserError, match="says nothing of energy: its device had no counter"):
        search(**case | {"lut": str(table)}, budget_mj=1.0, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_each_kind_has_a_power_of_its_own_where_that_predicts_better() -> None:
    random = np.random.default_rng(0)
    kind_us = {kind: random.uniform(100, 3000, 16) for kind in ("conv2d dense", "add")}
    truth = EnergyCalibration(call_mj=3.0, watts={"conv2d dense": 20.0, "add": 5.0})
    found = fit_energy(kind_us, truth.mj(kind_us))
    assert found is not None
    assert found.call_mj == pytest.approx(3.0)
    assert found.watts == pytest.approx(truth.watts)
    same = EnergyCalibration(call_mj=0.5, watts={"": 12.0})
    found = fit_energy(kind_us, same.mj(kind_us) * random.uniform(0.98, 1.02, 16))
    assert found is not None
    assert found.watts == pytest.approx({"": 12.0}, rel=0.05)
    assert found.power("conv2d pointwise") == pytest.approx(12.0, rel=0.05)


def test_a_network_too_short_for_the_counter_is_left_out_of_the_error() -> None:
    networks = pd.DataFrame({"energy_mj": [2.0, 0.0], "energy_predicted_mj": [3.0, 1.0]})
    assert energy_mape(networks) == pytest.approx(50)
    assert energy_mape(networks[1:]) is None


@pytest.mark.parametrize("measured", [0.0, float("nan"), float("inf")])
def test_a_counter_too_coarse_to_see_a_run_predicts_nothing(measured: float) -> None:
    assert fit_energy({"add": np.ones(2)}, np.array([1.0, measured])) is None
