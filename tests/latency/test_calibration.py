import numpy as np
import pytest
import torch
from numpy.typing import ArrayLike, NDArray

from netadapt.latency.calibration import CalibrationFit, NetworkSums, calibrated_ms
from netadapt.latency.fusion import FIXED_COSTS, FUSIONS
from netadapt.latency.working_set import of_networks
from netadapt.latency.workloads import workload_map
from netadapt.pruning import PrunableModel


def sums(microseconds: ArrayLike) -> NetworkSums:
    """Networks of 10 workloads whose weights are in no cache."""
    us = np.array(microseconds)
    return NetworkSums(us, np.zeros_like(us), np.zeros_like(us), 10)


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
    found = CalibrationFit("call")(sums([100.0, 200.0, 300.0, 400.0]), np.array(measured_us) / 1000)
    assert found.scale == pytest.approx(scale, rel=0.02)
    assert found.call_us == pytest.approx(fixed, rel=0.02)
    assert found.workload_us == 0
    assert found.cache_mb == 0


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
    fit = CalibrationFit(FIXED_COSTS[runtime], 10 * cheapest_us)
    found = fit(sums(summed), measured_us / 1000)
    assert found.scale == pytest.approx(scale, rel=0.05)
    assert found.workload_us == pytest.approx(workload_us, rel=0.05)
    assert found.call_us == 0
    (least,) = calibrated_ms(found, sums([10 * cheapest_us]))
    assert least >= -1e-9  # no network takes less than nothing


def networks(count: int, seed: int) -> NetworkSums:
    """Networks of 0.1 to 12 MB of weights."""
    random = np.random.default_rng(seed)
    weights = random.uniform(0.1, 12, count)
    us = 100 + 150 * weights + random.uniform(0, 200, count)
    return NetworkSums(us, weights, weights + random.uniform(0.5, 2, count), 40)


@pytest.mark.parametrize("cache_mb", [4.0, 8.0])
def test_the_cache_that_small_networks_stay_in_is_found(cache_mb: float) -> None:
    known, others = networks(32, 0), networks(50, 1)

    def truth(of: NetworkSums) -> NDArray[np.float64]:
        return (30 + 1.1 * of.us - 60 * of.cached_mb(cache_mb)) / 1000

    noise = 1 + 0.002 * np.random.default_rng(2).standard_normal(32)
    found = CalibrationFit("call")(known, truth(known) * noise)
    assert found.cache_mb == cache_mb
    assert found.cached_us_per_mb == pytest.approx(60, rel=0.2)
    np.testing.assert_allclose(calibrated_ms(found, others), truth(others), rtol=0.03)


def test_no_cache_is_seen_where_there_is_none() -> None:
    known = networks(24, 0)
    noise = 1 + 0.01 * np.random.default_rng(3).standard_normal(24)
    found = CalibrationFit("call")(known, 1.1 * known.us / 1000 * noise)
    assert found.cache_mb == 0
    assert found.cached_us_per_mb == 0


def test_a_networks_weights_are_counted(thin: PrunableModel, small: PrunableModel) -> None:
    for prunable in (thin, small):
        mapped = workload_map(prunable.operations, FUSIONS["onnxruntime"])
        narrow = {name: max(1, width // 2) for name, width in prunable.widths.items()}
        for widths in ({}, narrow):
            weights_mb, inputs_mb = of_networks([mapped.at(prunable.vector(widths))])
            kernels = [
                module.weight.numel()
                for module in prunable.pruned(widths).modules()
                if isinstance(module, torch.nn.Conv2d)
            ]
            assert weights_mb[0] == pytest.approx(4 * sum(kernels) / 1e6)
            assert inputs_mb[0] > prunable.example_input.numel() * 4 / 1e6
