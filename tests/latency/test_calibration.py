import numpy as np
import pytest

from netadapt.latency.calibration import calibrated_ms, fit_calibration
from netadapt.latency.fusion import FIXED_COSTS


@pytest.mark.parametrize(
    ("measured_us", "scale", "fixed"),
    [
        ([150.0, 250.0, 350.0, 450.0], 1.0, 50.0),
        ([90.0, 180.0, 270.0, 360.0], 0.9, 0.0),
        ([500.0, 500.0, 500.0, 500.0], 1.0, 250.0),  # no slope to be seen
        ([400.0, 300.0, 200.0, 100.0], 0.342, 0.0),  # nor here, and less than the sums
    ],
)
def test_a_calibration_is_fitted_as_far_as_the_clock_tells(
    measured_us: list[float], scale: float, fixed: float
) -> None:
    summed = np.array([100.0, 200.0, 300.0, 400.0])
    found = fit_calibration(summed, np.array(measured_us) / 1000, "call", 10, {})
    assert found.scale == pytest.approx(scale, rel=0.02)
    assert found.call_us == pytest.approx(fixed, rel=0.02)
    assert found.workload_us == 0


@pytest.mark.parametrize("runtime", ["onnxruntime", "torch"])  # fixed cost: one a call, a workload
@pytest.mark.parametrize(
    ("cheapest_us", "scale", "workload_us"),
    [(4.0, 1.2, -3.6), (3.0, 1.2, -3.6), (2.0, 1.06, -2 * 1.06), (0.0, 0.83, 0.0)],
)
def test_what_being_profiled_adds_to_every_workload_is_taken_off(
    runtime: str, cheapest_us: float, scale: float, workload_us: float
) -> None:
    summed = np.array([60.0, 100.0, 200.0, 300.0, 400.0])
    measured_us = 1.2 * (summed - 10 * 3.0)  # 10 workloads, each 3 us longer under the profiler
    found = fit_calibration(summed, measured_us / 1000, FIXED_COSTS[runtime], 10, {}, cheapest_us)
    assert found.scale == pytest.approx(scale, rel=0.05)
    assert found.workload_us == pytest.approx(workload_us, rel=0.05)
    assert found.call_us == 0
    least = calibrated_ms(found, np.array([10 * cheapest_us]), 10)
    assert least >= -1e-9  # no network takes less than nothing
