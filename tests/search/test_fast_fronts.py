"""The comparison of strategies, small, from end to end."""

import importlib
from pathlib import Path

import pandas as pd
import pytest
from fake_clock import FakeClock
from search_case import make_case

from netadapt.errors import UserError

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def fronts():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        yield importlib.import_module("fronts")


@pytest.mark.slow
def test_two_strategies_side_by_side_and_again(fronts, tmp_path, monkeypatch):
    FakeClock().install(monkeypatch)  # networks so small take one time, whatever their widths
    case = make_case(tmp_path, attached=True)
    arguments = [
        "--base", case["model"], "--data", case["data"], "--lut", case["lut"],
        "--out", str(tmp_path / "work"), "--results", str(tmp_path / "fronts"),
        "--methods", "netadapt-fast", "uniform", "--seeds", "0", "--shares", "0.96", "0.92",
        "--short-steps", "1", "--long-steps", "1", "--batch-size", "4",
        "--saliency-batches", "1", "--initial-reduction", "0.04", "--anchor-every", "1000",
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


def test_networks_without_a_front_are_compared_at_their_own_latency():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        report = importlib.import_module("comparison.report")
    rows = [("base", 1.0, 0.9), ("netadapt-fast", 0.6, 0.8), ("netadapt-fast", 0.4, 0.6)]
    rows += [("published", 0.5, 0.65)]
    points = pd.DataFrame(rows, columns=["method", "measured_share", "delta1"])
    points = points.assign(seed=0, rmse=0.5)
    line = report.single_networks(points, ["published", "absent"]).splitlines()[-1]
    assert line == "| published | 1 | 0.50 | 0.650 | 0.500 | 0.700 |"
    assert report.single_networks(points, ["absent"]) == ""


@pytest.mark.slow
def test_the_published_widths_need_the_full_network(fronts, tmp_path):
    case = make_case(tmp_path, attached=True)
    arguments = [
        "--base", case["model"], "--data", case["data"], "--lut", case["lut"],
        "--out", str(tmp_path / "work"), "--methods", "published widths", "--seeds", "0",
        "--long-steps", "1", "--batch-size", "4", "--points-only",
    ]  # fmt: skip
    with pytest.raises(UserError, match="those of a full fastdepth; give one as --base"):
        fronts.main(arguments)


def test_a_front_is_read_off_between_its_points():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        report = importlib.import_module("comparison.report")
    front = pd.DataFrame({"measured_share": [1.0, 0.4, 0.6], "delta1": [0.9, 0.6, 0.8]})
    assert report.interpolated(front, 0.5, "delta1") == pytest.approx(0.7)
    assert report.interpolated(front, 0.8, "delta1") == pytest.approx(0.85)
    assert report.interpolated(front, 0.35, "delta1") == pytest.approx(0.55)  # on from the last two
