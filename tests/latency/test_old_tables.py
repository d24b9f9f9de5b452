"""Tables of earlier versions open for ever: tests/fixtures/table-format1 was written by one."""

import functools
import json
import shutil
from pathlib import Path

import pytest
import torch

from netadapt.latency.predictor import LatencyPredictor
from netadapt.latency.table import LatencyTable
from netadapt.latency.target import Target
from netadapt.latency.validation import load_validation
from netadapt.pruning import PrunableModel, trace
from netadapt.training.checkpoint import load_model

ROOT = Path(__file__).resolve().parents[2]
OLD = ROOT / "tests" / "fixtures" / "table-format1"


def test_a_table_with_one_calibration_predicts_its_network(small: PrunableModel) -> None:
    table = LatencyTable.load(OLD)
    (calibration,) = table.target.calibrations
    assert (calibration.model, calibration.input) == ("Tiny", "1x3x64x64")
    assert calibration.channel_blocks == {"": 1}
    predictor = LatencyPredictor(small, table)
    assert predictor.calibration_note == ""
    sum_ms = sum(row.p50_us for row in table.rows.values()) / 1000
    assert 0 < predictor({}) < sum_ms
    assert len(load_validation(OLD)) == 2


def test_a_table_without_fusion_rules_is_read_by_its_runtimes(
    small: PrunableModel, tmp_path: Path
) -> None:
    folder = shutil.copytree(OLD, tmp_path / "older")
    target = json.loads((folder / "target.json").read_text())
    del target["fusion"]
    (folder / "target.json").write_text(json.dumps(target))
    older = LatencyPredictor(small, LatencyTable.load(folder))
    assert older({}) == LatencyPredictor(small, LatencyTable.load(OLD))({})


def test_a_calibration_of_a_network_that_nobody_named_is_labelled(
    small: PrunableModel, tmp_path: Path
) -> None:
    folder = shutil.copytree(OLD, tmp_path / "older")
    target = json.loads((folder / "target.json").read_text())
    del target["protocol"]["model"]
    (folder / "target.json").write_text(json.dumps(target))
    note = LatencyPredictor(small, LatencyTable.load(folder)).calibration_note
    assert note.endswith("was calibrated with an unknown network, not with Tiny at 1x3x64x64")


@functools.cache
def fastdepth(size: tuple[int, int]) -> PrunableModel:
    return trace(load_model("fastdepth"), torch.rand(1, 3, *size))


@pytest.mark.parametrize("folder", sorted((ROOT / "lut").glob("*/")), ids=lambda path: path.name)
def test_committed_tables_predict_fastdepth(folder: Path) -> None:
    table = LatencyTable.load(folder)
    size = table.target.calibrations[-1].image_size
    assert size is not None
    network = fastdepth(size)
    predictor = LatencyPredictor(network, table)
    validation = load_validation(folder)
    rows = validation[list(network.groups)].to_numpy()
    again = predictor.batch(rows)
    assert again == pytest.approx(validation["predicted_ms"].to_numpy(), rel=1e-3)


def test_what_is_read_is_written_as_today(tmp_path: Path) -> None:
    old = LatencyTable.load(OLD)
    written = Target.model_validate_json(json.dumps(old.target.model_dump()))
    assert written == old.target
    assert "calibration" not in old.target.model_dump()
