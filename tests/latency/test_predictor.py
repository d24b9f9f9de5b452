from collections.abc import Callable
from pathlib import Path
from zlib import crc32

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from recorded import recorded_workloads

from netadapt.depth.models import FastDepth
from netadapt.errors import UserError
from netadapt.latency.calibration import NetworkCalibration
from netadapt.latency.fusion import FUSIONS
from netadapt.latency.predictor import LatencyPredictor
from netadapt.latency.table import Latency, LatencyTable
from netadapt.latency.target import Target
from netadapt.latency.working_set import of_networks
from netadapt.latency.workloads import (
    Workload,
    coordinates,
    family,
    workload_map,
)
from netadapt.profiling.design import design_networks
from netadapt.pruning import PrunableModel

CALIBRATION = NetworkCalibration(scale=1.25, call_us=300.0, workload_us=2.0, networks=9)
MakeTable = Callable[..., LatencyTable]


def cost_us(one: Workload) -> float:
    """A made-up latency: a plane over the channels, another one for every family."""
    base = 1 + crc32(repr(family(one)).encode()) % 97 / 10
    return base * (1 + 0.25 * coordinates(one)[0] + 0.5 * coordinates(one)[-1])


@pytest.fixture(scope="module")
def make_table(thin: PrunableModel) -> MakeTable:
    """A table of made-up latencies at the widths that a profile would time."""

    def make(
        runtime: str = "onnxruntime",
        lacking: Callable[[Workload], bool] = lambda _: False,
        calibration: NetworkCalibration | None = CALIBRATION,
    ) -> LatencyTable:
        mapped = workload_map(thin.operations, FUSIONS[runtime])
        rows = {
            one: Latency(0, cost_us(one), 1e9, 1)
            for widths in design_networks(mapped, thin.widths, multiple=2)
            for one in mapped.at(widths)
            if not lacking(one)
        }
        calibrations = (calibration,) if calibration else ()
        target = Target(runtime=runtime, fusion=FUSIONS[runtime], calibrations=calibrations)
        return LatencyTable(Path("lut/made-up"), target, rows)

    return make


@pytest.fixture(scope="module")
def predictors(thin: PrunableModel, make_table: MakeTable) -> dict[str, LatencyPredictor]:
    return {name: LatencyPredictor(thin, make_table(name)) for name in ("onnxruntime", "torch")}


@st.composite
def widths_of(draw: st.DrawFn, prunable: PrunableModel) -> dict[str, int]:
    return {name: draw(st.integers(2, full)) for name, full in prunable.widths.items()}


@pytest.mark.parametrize("runtime", ["onnxruntime", "torch"])
@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_a_prediction_is_the_calibrated_sum_over_the_networks_workloads(
    thin: PrunableModel,
    predictors: dict[str, LatencyPredictor],
    runtime: str,
    data: st.DataObject,
) -> None:
    widths = data.draw(widths_of(thin))
    model = FastDepth(widths).eval()
    costs = [cost_us(one) for one in recorded_workloads(model, thin.example_input, runtime)]
    expected_us = 300.0 + 2.0 * len(costs) + 1.25 * sum(costs)
    assert predictors[runtime](widths) == pytest.approx(expected_us / 1000, rel=1e-9)


@settings(max_examples=25, deadline=None)
@given(data=st.data(), count=st.integers(1, 6))
def test_a_batch_is_predicted_as_its_networks_are(
    thin: PrunableModel,
    predictors: dict[str, LatencyPredictor],
    data: st.DataObject,
    count: int,
) -> None:
    predictor = predictors["onnxruntime"]
    networks = [data.draw(widths_of(thin)) for _ in range(count)]
    together = predictor.batch([thin.vector(widths) for widths in networks])
    np.testing.assert_allclose(together, [predictor(widths) for widths in networks], rtol=1e-12)


def test_weights_in_the_cache_are_counted_for_every_network(
    thin: PrunableModel, make_table: MakeTable
) -> None:
    calibration = CALIBRATION.model_copy(update={"cached_us_per_mb": 1e4, "cache_mb": 0.4})
    predictor = LatencyPredictor(thin, make_table(calibration=calibration))
    without = LatencyPredictor(thin, make_table())
    mapped = workload_map(thin.operations, FUSIONS["onnxruntime"])
    rows = np.array([thin.vector({}), thin.vector(dict.fromkeys(thin.groups, 4))])
    weights_mb, inputs_mb = of_networks(mapped.at(row) for row in rows)
    saved = 1e4 * weights_mb * np.clip(2 - (weights_mb + inputs_mb) / 0.4, 0, 1)
    assert saved[1] > 0
    np.testing.assert_allclose(predictor.batch(rows), without.batch(rows) - saved / 1000)


def test_groups_left_out_are_full(
    thin: PrunableModel, predictors: dict[str, LatencyPredictor]
) -> None:
    predictor = predictors["onnxruntime"]
    assert predictor({}) == predictor(thin.widths)
    assert predictor({"conv4.3": 4}) == predictor(thin.widths | {"conv4.3": 4})
    with pytest.raises(UserError, match="unknown channel group 'nonsense'"):
        predictor({"nonsense": 4})


def test_a_breakdown_adds_up_and_follows_the_network(
    thin: PrunableModel, predictors: dict[str, LatencyPredictor]
) -> None:
    for predictor in predictors.values():
        parts = predictor.breakdown({"conv4.3": 4})
        assert sum(ms for _, _, ms in parts) == pytest.approx(predictor({"conv4.3": 4}))
        assert all(ms > 0 for _, _, ms in parts)
        modules = [name for name, _, _ in parts]
        assert modules[0] == "conv0.0"
        assert modules.index("conv4.3") < modules.index("conv5.0")
        assert set(modules) <= {name for name, _ in thin.model.named_modules()}


def test_a_missing_workload_is_named_with_the_table_and_the_command(
    thin: PrunableModel, make_table: MakeTable
) -> None:
    table = make_table(lacking=lambda one: one.kind == "add")
    with pytest.raises(UserError) as caught:
        LatencyPredictor(thin, table)
    message = str(caught.value)
    assert message.startswith("no entry for add 16->16 at ")
    assert "in lut/made-up; run: netadapt profile-lut --device cpu --runtime onnxruntime" in message
    assert "--threads 1" in message
    assert "--model fastdepth --input-size 64x64 --lut lut" in message
    assert "\n" not in message


def test_a_network_outside_the_measured_hull_is_refused(
    thin: PrunableModel, predictors: dict[str, LatencyPredictor]
) -> None:
    predictor = predictors["onnxruntime"]
    outside = thin.widths | {"conv2.3": 1}
    with pytest.raises(UserError, match=r"conv2d .* is outside what lut/made-up has measured; run"):
        predictor(outside)
    rows = np.array([thin.vector({}), thin.vector(outside), thin.vector({"conv2.3": 3})])
    with pytest.raises(UserError, match="is outside"):
        predictor.batch(rows)
    assert np.isnan(predictor.batch_or_nan(rows)).tolist() == [False, True, False]


def test_without_calibration_nothing_is_predicted(
    thin: PrunableModel, make_table: MakeTable
) -> None:
    with pytest.raises(
        UserError, match=r"lut/made-up has no calibration.*run: netadapt profile-lut"
    ):
        LatencyPredictor(thin, make_table(calibration=None))
