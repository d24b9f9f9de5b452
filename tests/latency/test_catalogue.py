from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from netadapt.latency.calibration import NetworkCalibration
from netadapt.latency.catalogue import coverage, difference, family_name, kind_name
from netadapt.latency.staircases import staircases
from netadapt.latency.table import Latency, LatencyTable
from netadapt.latency.target import Target
from netadapt.latency.validation import save_validation
from netadapt.latency.workloads import Workload

CHANNELS = (8, 16, 24, 32)


def pointwise(channels_in: int, channels_out: int, **change: object) -> Workload:
    fields: dict[str, Any] = {
        "kernel": (1, 1),
        "stride": (1, 1),
        "padding": (0, 0),
        "dilation": (1, 1),
    }
    return Workload("conv2d", ((1, channels_in, 7, 7),), channels_out, **(fields | change))


def depthwise(channels: int) -> Workload:
    return pointwise(channels, channels, kernel=(5, 5), padding=(2, 2), groups=channels)


def add(channels: int) -> Workload:
    return Workload("add", ((1, channels, 7, 7),) * 2, channels)


def around(p50: float) -> Latency:
    return Latency(0.9 * p50, p50, 1.2 * p50, 20)


def rows(factor: float = 1.0) -> dict[Workload, Latency]:
    grid = {pointwise(i, o): around(factor * (3 + i * o)) for i in CHANNELS for o in CHANNELS}
    lines = {depthwise(c): around(factor * 2 * c) for c in CHANNELS}
    return grid | lines | {add(c): around(factor * c) for c in CHANNELS}


def table(folder: Path, found: dict[Workload, Latency], **fields: Any) -> LatencyTable:
    return LatencyTable(folder, Target(**fields), found)


def test_a_kind_tells_kernels_and_depthwise_layers_apart() -> None:
    assert kind_name(pointwise(8, 16)) == "conv2d 1x1"
    assert kind_name(depthwise(8)) == "conv2d 5x5 depthwise"
    assert kind_name(pointwise(8, 16, groups=4)) == "conv2d 1x1 groups 4"
    assert kind_name(add(8)) == "add"


def test_a_family_is_named_by_what_its_workloads_share() -> None:
    fused = Workload(
        "conv2d", ((1, 8, 9, 7), (1, 16, 5, 4)), 16, (3, 3), (2, 2), (1, 1), (2, 2), 1, "relu"
    )
    assert family_name(fused) == "conv2d 3x3 stride 2x2 dilation 2x2 + relu + add at 9x7"
    assert family_name(Workload("linear", ((1, 8),), 16)) == "linear at 1"
    activation = Workload("activation", ((1, 8, 4, 4),), 8, activation="relu6")
    assert family_name(activation) == "activation relu6 at 4x4"


def test_coverage_counts_every_workload_once() -> None:
    found = coverage(rows()).set_index("kind")
    assert found["workloads"].sum() == len(rows())
    assert list(found.index) == ["conv2d 1x1", "conv2d 5x5 depthwise", "add"]
    assert found.loc["conv2d 1x1", "in_channels"] == [8, 32]
    assert found.loc["conv2d 1x1", "out_channels"] == [8, 32]
    assert found.loc["add", "p50_us"] == [8, 32]
    assert (found["families"] == 1).all()
    assert coverage({}).empty


@given(factor=st.floats(0.01, 100))
def test_a_table_that_is_slower_by_a_factor_is_so_by_every_figure(factor: float) -> None:
    bound = 1.2 / 0.9  # from where on the ranges lie apart; rounding decides at the bound itself
    assume(abs(max(factor, 1 / factor) - bound) > 1e-6)
    here = Path("nowhere")
    found = difference(table(here, rows()), table(here, rows(factor)))
    kinds = found.by_kind().set_index("kind")
    assert kinds.loc["all", "shared"] == len(rows()) == kinds["shared"][:-1].sum()
    for column in ("ratio", "ratio_p10", "ratio_p50", "ratio_p90"):
        np.testing.assert_allclose(kinds[column], factor)
    np.testing.assert_allclose(kinds["b_ms"], factor * kinds["a_ms"])
    apart = 100.0 if max(factor, 1 / factor) > bound else 0.0
    assert (kinds["apart_percent"] == apart).all()
    assert found.only_a == found.only_b == {}


def test_what_one_table_lacks_is_the_others_alone() -> None:
    here = Path("nowhere")
    more = rows() | {add(64): around(64)}
    there, back = (
        difference(table(here, first), table(here, second))
        for first, second in ((rows(), more), (more, rows()))
    )
    assert list(there.only_b) == list(back.only_a) == [add(64)]
    assert there.only_a == back.only_b == {}
    assert str(add(64)) not in set(there.shared["workload"])


def test_the_biggest_change_comes_first() -> None:
    here = Path("nowhere")
    slower = rows() | {add(8): around(500), depthwise(32): around(1)}
    found = difference(table(here, rows()), table(here, slower))
    assert list(found.shared["workload"][:2]) == [str(add(8)), str(depthwise(32))]
    assert list(found.shared["change_us"][:2]) == [492, -63]
    assert not found.shared["change_us"][2:].any()


def test_a_workload_that_took_no_time_has_no_ratio() -> None:
    here = Path("nowhere")
    none = rows() | {add(8): Latency(0, 0, 0, 5)}
    kinds = difference(table(here, none), table(here, rows())).by_kind().set_index("kind")
    assert kinds["ratio_p50"]["add"] == 1
    assert kinds["b_ms"]["add"] - kinds["a_ms"]["add"] == pytest.approx(0.008)


def test_tables_of_two_precisions_share_what_they_compute() -> None:
    here = Path("nowhere")
    half = {add(8): around(8)}, {Workload("add", ((1, 8, 7, 7),) * 2, 8, dtype="half"): around(4)}
    full, less = (table(here, found) for found in half)
    found = difference(full, table(here, less.rows, precision="fp16"))
    assert found.fields == {"precision": ("fp32", "fp16")}
    assert list(found.shared["ratio"]) == [0.5]


def test_tables_without_a_common_workload_say_so() -> None:
    found = difference(
        table(Path("a"), {add(8): around(1)}), table(Path("b"), {depthwise(8): around(1)})
    )
    assert found.shared.empty
    assert found.by_kind().empty
    assert (list(found.only_a), list(found.only_b)) == ([add(8)], [depthwise(8)])


def validated(folder: Path, found: dict[Workload, Latency], **columns: object) -> LatencyTable:
    names = ("network", "predicted_ms", "measured_ms", "repeat_ms")
    frame = pd.DataFrame({name: [1.0, 2.0] for name in names} | columns)
    folder.mkdir()
    save_validation(folder, frame)
    return table(folder, found)


def test_whole_networks_are_compared_by_their_widths(tmp_path: Path) -> None:
    # one runtime fuses the activation, the other does not: no workload is the same
    fused = {pointwise(8, 16, activation="relu"): around(2)}
    first = validated(tmp_path / "a", fused, measured_ms=[2.0, 4.0], g=[8, 16], h=[8, 8])
    turned = {"h": [8, 8], "g": [16, 8], "energy_mj": [1, 2]}
    second = validated(tmp_path / "b", rows(), measured_ms=[5.0, 2.0], **turned)
    second.rows = {pointwise(8, 16): around(2)}
    found = difference(first, second)
    assert found.shared.empty
    pairs = found.networks.set_index("a_ms")["b_ms"].to_dict()
    assert pairs == {2.0: 2.0, 4.0: 5.0}
    assert list(found.networks["ratio"]) == [1.0, 1.25]


@pytest.mark.parametrize(
    ("convolutions", "groups"),
    [(rows(), {"g": [8, 16]}), ({add(8): around(1)}, {"h": [8, 16]})],
    ids=["other shapes", "other groups"],
)
def test_whole_networks_of_other_models_are_not_compared(
    tmp_path: Path, convolutions: dict[Workload, Latency], groups: dict[str, object]
) -> None:
    first = validated(tmp_path / "a", {add(8): around(1)}, g=[8, 16])
    second = validated(tmp_path / "b", convolutions, **groups)
    assert difference(first, second).networks.empty


def test_curves_pass_through_what_was_measured() -> None:
    measured, curves = staircases(table(Path("nowhere"), rows()), 10)
    assert list(dict.fromkeys(measured["family"])) == [
        "conv2d 1x1 at 7x7", "conv2d 5x5 depthwise at 7x7", "add at 7x7",
    ]  # fmt: skip
    assert len(measured) == len(rows())
    drawn = measured.fillna(0).merge(curves.fillna(0), on=["family", "axis", "channels", "beside"])
    assert set(drawn["beside"]) == {0, 8, 24, 32}  # the ends and one between
    np.testing.assert_allclose(drawn["us"], drawn["p50_us"])
    assert (
        curves.groupby("family")["channels"].agg(["min", "max"]).to_numpy().tolist()
        == [[8, 32]] * 3
    )


def test_curves_keep_the_steps_of_blocks() -> None:
    blocks = NetworkCalibration(
        scale=1, call_us=0, workload_us=0, networks=3, channel_blocks={"": 8}
    )
    _, curves = staircases(table(Path("nowhere"), rows(), calibrations=(blocks,)), 10)
    line = curves[curves["family"] == "add at 7x7"].set_index("channels")["us"]
    assert set(line.loc[9:16]) == {line[16]}
    assert line[16] < line[17]


def test_only_the_families_with_the_longest_workloads_are_returned() -> None:
    measured, curves = staircases(table(Path("nowhere"), rows()), 1)
    assert set(measured["family"]) == set(curves["family"]) == {"conv2d 1x1 at 7x7"}


def test_before_an_output_of_fixed_channels_the_input_is_the_axis() -> None:
    last = {pointwise(c, 1): around(c) for c in CHANNELS}
    measured, curves = staircases(table(Path("nowhere"), last), 1)
    assert set(measured["axis"]) == {"input channels"}
    assert measured["beside"].isna().all()
    assert list(curves["us"]) == list(range(8, 33))


def test_where_nothing_was_measured_a_curve_has_a_gap() -> None:
    corner = {pointwise(i, o): around(i * o) for i, o in ((8, 8), (8, 32), (32, 8), (32, 16))}
    _, curves = staircases(table(Path("nowhere"), corner), 1)
    at = curves.set_index(["beside", "channels"])["us"]
    assert at[8, 20] == 160
    assert at[32, 12] == 32 * 12
    assert np.isnan(at[32, 20])
