"""A search on an int8 table scores what it would deploy."""

from pathlib import Path

import pandas as pd
import pytest
from search_case import SIZE, make_case

from netadapt import search
from netadapt.depth import open_depth
from netadapt.training.checkpoint import load_model


def test_chosen_points_are_exported_and_scored_from_their_files(tmp_path: Path) -> None:
    case = make_case(tmp_path, attached=False, precision="int8")
    run = search(**case, speedup=1.05, out=tmp_path / "run")
    rows = pd.read_csv(run.folder / "candidates.csv").set_index("candidate")
    filed = rows[rows["delta1_test_deployed"].notna()]
    assert set(filed["stage"]) == {"base", "long"}
    assert set(filed.index) == set(rows.index[rows["stage"] != "short"])
    task = open_depth("synthetic:24", SIZE)
    for name, row in filed.iterrows():
        network = load_model(run.folder / Path(row["checkpoint"]).with_suffix(".onnx"))
        assert network.precision == "int8"
        assert task.score(network, "test")["delta1"] == pytest.approx(
            row["delta1_test_deployed"], abs=1e-5
        )
        if row["stage"] == "long":
            holdout = task.score(network, "holdout")["delta1"]
            assert holdout == pytest.approx(row["delta1_holdout"], abs=1e-5), name


def test_a_search_on_an_fp32_table_exports_nothing(tmp_path: Path) -> None:
    case = make_case(tmp_path, attached=False)
    run = search(**case, speedup=1.05, out=tmp_path / "run")
    assert "delta1_test_deployed" not in pd.read_csv(run.folder / "candidates.csv")
    assert not list(run.folder.rglob("*.onnx"))
