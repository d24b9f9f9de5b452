import numpy as np
import pytest

from netadapt.latency.held_out import LEAST_POINTS, errors_by_kind
from netadapt.latency.table import Latency, LatencyTable
from netadapt.latency.target import Target
from netadapt.latency.workloads import Workload


def conv(channels: int, kernel: int) -> Workload:
    return Workload("conv2d", ((1, 16, 8, 8),), channels, (kernel, kernel), (1, 1), (0, 0), (1, 1))


def table(tmp_path, us_of, kernels=(1, 3), count=40) -> LatencyTable:
    rows = {
        conv(channels, kernel): Latency(us, us, us, 20)
        for kernel in kernels
        for channels in range(1, count + 1)
        for us in [us_of(channels, kernel)]
    }
    return LatencyTable(tmp_path, Target(), rows)


def test_what_is_linear_in_the_channels_is_predicted_exactly(tmp_path):
    found = errors_by_kind(table(tmp_path, lambda channels, kernel: 5.0 + kernel * channels))
    assert set(found["kind"]) == {"conv2d 1x1", "conv2d 3x3"}
    assert found["p90_percent"].to_numpy() == pytest.approx(0, abs=1e-9)


def test_the_kind_that_is_hardest_to_predict_comes_first(tmp_path):
    rng = np.random.default_rng(0)
    noisy = table(
        tmp_path, lambda channels, kernel: (5 + channels) * (1 + 0.1 * rng.random() * (kernel == 3))
    )
    found = errors_by_kind(noisy)
    assert found["kind"].tolist() == ["conv2d 3x3", "conv2d 1x1"]
    assert 0 < found["p50_percent"][0] <= found["p90_percent"][0] < 15


def test_small_families_tell_nothing(tmp_path):
    few = table(tmp_path, lambda channels, kernel: 5.0 + channels, count=LEAST_POINTS - 1)
    assert errors_by_kind(few).empty
