import pandas as pd
import pytest

from netadapt.search.journal import Journal, Started
from netadapt.search.run_folder import RunFolder


def test_the_parts_of_each_network_add_up_to_its_prediction(finished):
    parts = pd.read_csv(finished.folder / "breakdown.csv", dtype={"candidate": str})
    predicted = finished.candidates.set_index("candidate")["predicted_ms"]
    for name, rows in parts.groupby("candidate"):
        assert rows["ms"].sum() == pytest.approx(predicted[name], rel=1e-3)
        assert (rows["ms"] >= 0).all()


def test_every_network_that_a_page_can_pin_is_broken_down(finished):
    rows = finished.candidates
    wanted = rows[rows["selected"] | rows["stage"].isin(["base", "long"])]["candidate"]
    parts = pd.read_csv(finished.folder / "breakdown.csv", dtype={"candidate": str})
    assert {*wanted, *finished.front["candidate"]} == set(parts["candidate"])


def test_groups_and_kinds_are_those_of_the_network(finished):
    parts = pd.read_csv(finished.folder / "breakdown.csv", keep_default_na=False)
    first = Journal(RunFolder(finished.folder).journal).events[0]
    assert isinstance(first, Started)
    assert set(parts["group"]) - {""} <= set(first.base.widths)
    assert "conv2d 1x1" in set(parts["kind"])
