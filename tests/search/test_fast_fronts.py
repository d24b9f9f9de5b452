"""The comparison of strategies, small, from end to end."""

import importlib
from pathlib import Path

import pandas as pd
import pytest
from search_case import make_case

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def fronts():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        yield importlib.import_module("fronts")


def test_two_strategies_side_by_side_and_again(fronts, tmp_path, monkeypatch):
    case = make_case(tmp_path, attached=True)
    arguments = [
        "--base", case["model"], "--data", case["data"], "--lut", case["lut"],
        "--out", str(tmp_path / "work"), "--results", str(tmp_path / "fronts"),
        "--methods", "netadapt-fast", "uniform", "--seeds", "0", "--shares", "0.96", "0.92",
        "--short-steps", "1", "--long-steps", "1", "--batch-size", "4",
        "--saliency-batches", "1", "--initial-reduction", "0.04",
    ]  # fmt: skip
    fronts.main(arguments)
    rows = pd.read_csv(tmp_path / "fronts.csv")
    assert rows.groupby("method")["share"].apply(list).to_dict() == {
        "base": [1.0], "netadapt-fast": [0.96, 0.92], "uniform": [0.96, 0.92],
    }  # fmt: skip
    base = rows[rows["method"] == "base"].iloc[0]
    assert base["measured_share"] == 1.0
    others = rows[rows["method"] != "base"]
    assert (others["predicted_ms"] <= base["predicted_ms"]).all()
    assert (others["samples"] > 0).all()
    text = (tmp_path / "fronts.md").read_text()
    assert "| netadapt-fast | 1 |" in text
    assert "| uniform | 1 |" in text
    assert (tmp_path / "fronts.png").stat().st_size > 0
    assert (tmp_path / "fronts.svg").stat().st_size > 0

    def never(*_):
        raise AssertionError("what is done is not done again")

    monkeypatch.setattr("comparison.arena.Search.walk", never)
    monkeypatch.setattr(fronts, "measure_all", never)
    fronts.main(arguments)
    assert (tmp_path / "fronts.md").read_text() == text


def test_a_front_is_read_off_between_its_points():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        report = importlib.import_module("comparison.report")
    front = pd.DataFrame({"measured_share": [1.0, 0.4, 0.6], "delta1": [0.9, 0.6, 0.8]})
    assert report.interpolated(front, 0.5, "delta1") == pytest.approx(0.7)
    assert report.interpolated(front, 0.8, "delta1") == pytest.approx(0.85)
    assert report.interpolated(front, 0.35, "delta1") == pytest.approx(0.55)  # on from the last two
