from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch
from quick_profile import BRIEF, Stages, target, wanted
from tiny_network import tiny
from torch import Tensor, nn

from netadapt.errors import UserError
from netadapt.latency.predictor import LatencyPredictor
from netadapt.latency.table import LatencyTable
from netadapt.latency.validation import load_validation, summarise
from netadapt.profiling.profiler import profile, revalidate
from netadapt.pruning import PrunableModel, trace


class Renamed(nn.Module):
    """The same network under other names."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x)


@pytest.mark.parametrize("runtime", ["onnxruntime", "torch"])
def test_a_profile_fills_calibrates_and_validates_a_table(
    small: PrunableModel, runtime: str, tmp_path: Path
) -> None:
    stages = Stages()
    report = profile(small, LatencyTable.open(tmp_path, target(runtime)), stages, BRIEF)
    assert stages.steps == stages.totals

    table = LatencyTable.open(tmp_path, target(runtime))
    assert set(table.rows) == wanted(small, runtime)
    assert report.added == report.workloads == len(table.rows)
    assert all(row.p10_us <= row.p50_us <= row.p90_us for row in table.rows.values())
    convolutions = [row.p50_us for one, row in table.rows.items() if one.kind == "conv2d"]
    assert max(convolutions) > 0
    (calibration,) = table.target.calibrations
    assert (calibration.model, calibration.input) == ("Tiny", "1x3x64x64")
    assert calibration.networks == BRIEF.calibration_networks
    assert table.target.protocol["rounds"] == 1

    validation = load_validation(table.folder)
    assert len(validation) == BRIEF.validation_networks
    assert list(validation.columns[4:]) == list(small.groups)
    predictor = LatencyPredictor(small, table)
    again = predictor.batch(validation[list(small.groups)].to_numpy())
    assert again == pytest.approx(validation["predicted_ms"].to_numpy(), rel=1e-3)
    assert summarise(validation).mape == pytest.approx(report.mape, rel=1e-2)

    rows = (table.folder / "latency.csv").read_bytes()
    second = profile(small, table, Stages(), BRIEF)
    assert second.added == 0
    assert second.workloads == report.workloads
    assert (table.folder / "latency.csv").read_bytes() == rows


def test_another_network_adds_only_what_the_table_lacks(
    small: PrunableModel, tmp_path: Path
) -> None:
    table = LatencyTable.open(tmp_path, target("torch"))
    profile(small, table, Stages(), BRIEF)
    before = (table.folder / "latency.csv").read_bytes()
    other = trace(*tiny(heads=3))
    lacking = wanted(other, "torch") - wanted(small, "torch")
    assert {one.out_channels for one in lacking} == {3}  # only its head is new
    report = profile(other, table, Stages(), BRIEF)
    assert report.added == len(lacking)
    assert report.workloads == len(wanted(other, "torch"))
    content = (table.folder / "latency.csv").read_bytes()
    assert content.startswith(before)
    assert content.count(b"\n") == before.count(b"\n") + len(lacking)
    for prunable in (small, other):
        assert LatencyPredictor(prunable, table)({}) > 0


def test_an_interrupted_profile_goes_on_where_it_was(small: PrunableModel, tmp_path: Path) -> None:
    table = LatencyTable.open(tmp_path, target("torch"))
    with pytest.raises(KeyboardInterrupt):
        profile(small, table, Stages(interrupt_after=BRIEF.chunk + 1), BRIEF)
    kept = LatencyTable.open(tmp_path, target("torch"))
    assert 0 < len(kept.rows) < len(wanted(small, "torch"))
    with pytest.raises(UserError, match=r"has no calibration: its profile was interrupted"):
        LatencyPredictor(small, LatencyTable(kept.folder, kept.target, table.rows))({})
    report = profile(small, kept, Stages(), BRIEF)
    assert report.added == len(wanted(small, "torch")) - len(table.rows)
    for workload, latency in table.rows.items():
        assert kept.rows[workload] == latency


def test_a_table_of_another_machine_is_not_filled(small: PrunableModel, tmp_path: Path) -> None:
    elsewhere = target("torch").model_copy(update={"hardware": "another machine"})
    table = LatencyTable.open(tmp_path, elsewhere)
    with pytest.raises(UserError, match="is not attached"):
        profile(small, table, Stages(), BRIEF)
    assert list(tmp_path.iterdir()) == []


def test_a_network_of_which_nothing_can_be_pruned_is_refused(tmp_path: Path) -> None:
    one = trace(nn.Conv2d(3, 4, 3), torch.zeros(1, 3, 8, 8))
    with pytest.raises(UserError, match="no layer of the network can be pruned"):
        profile(one, LatencyTable.open(tmp_path, target("torch")), Stages(), BRIEF)
    assert list(tmp_path.iterdir()) == []


def test_a_report_compares_predicted_with_measured() -> None:
    validation = pd.DataFrame(
        {
            "predicted_ms": [1.04, 1.92, 4.0, 4.32],
            "measured_ms": [1.0, 2.0, 3.2, 4.0],
            "repeat_ms": [1.0, 2.2, 3.2, 4.4],
        }
    )
    report = summarise(validation, workloads=7, added=3)
    assert report.mape == pytest.approx((4 + 4 + 25 + 8) / 4)
    assert (report.within_5, report.within_10) == (50, 75)
    assert report.spearman == pytest.approx(1)
    assert report.repeatability == pytest.approx(5)
    assert (report.workloads, report.added) == (7, 3)
    assert "busy with something else" in report.warning  # the clock is off by 5 %
    steady = validation.assign(repeat_ms=validation["measured_ms"])
    assert summarise(steady).warning.startswith("predictions are 10.25 % off on average")
    exact = steady.assign(predicted_ms=steady["measured_ms"] * [1, 1.001, 1, 1])
    assert summarise(exact).warning == ""


def test_a_refined_table_knows_more_widths(small: PrunableModel, tmp_path: Path) -> None:
    schedule = replace(BRIEF, refinements=2, chunk=3)
    stages = Stages()
    table = LatencyTable.open(tmp_path, target("onnxruntime"))
    report = profile(small, table, stages, schedule)
    assert stages.totals["refinement"] > 0
    assert report.added == report.workloads == len(wanted(small, "onnxruntime"))
    more = set(table.rows) - wanted(small, "onnxruntime")
    assert more
    assert all(one.out_channels % 8 == 0 or one.out_channels == 1 for one in more)
    rows = len(table.rows)
    again = Stages()
    assert profile(small, table, again, schedule).added == 0
    assert len(table.rows) == rows  # a finished table is not refined again


def test_a_table_is_held_against_the_clock_again(small: PrunableModel, tmp_path: Path) -> None:
    table = LatencyTable.open(tmp_path, target("onnxruntime"))
    profile(small, table, Stages(), BRIEF)
    then = load_validation(table.folder)
    content = {path.name: path.read_bytes() for path in table.folder.iterdir()}
    stages = Stages()
    now = revalidate(small, table, stages)
    assert stages.steps == stages.totals
    assert now["then_ms"].tolist() == then["measured_ms"].tolist()
    assert now["predicted_ms"].to_numpy() == pytest.approx(then["predicted_ms"], rel=1e-3)
    assert (now["measured_ms"] > 0).all()
    assert now["measured_ms"].tolist() != then["measured_ms"].tolist()
    assert content == {path.name: path.read_bytes() for path in table.folder.iterdir()}
    model, image = tiny()
    with pytest.raises(UserError, match=r"was validated on another network: .* no group"):
        revalidate(trace(Renamed(model), image), table, Stages())
