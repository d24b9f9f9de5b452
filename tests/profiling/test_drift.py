"""A machine that slows down while it is profiled gives the table of one that does not."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from quick_profile import BRIEF, Stages, target

from netadapt.latency.fusion import FUSIONS
from netadapt.latency.table import LatencyTable
from netadapt.latency.workloads import workload_map
from netadapt.profiling.agent.timing import OperationRuns, Timing
from netadapt.profiling.devices.base import Bench
from netadapt.profiling.drift import Drift
from netadapt.profiling.plan import make_plan
from netadapt.profiling.profiler import Profile, typical_ms
from netadapt.pruning import PrunableModel

SCHEDULE = replace(BRIEF, chunk=2)
STEADY = [1.0] * 99
SLOWING = [1.0, 1.3, 0.9, 1.7, *[1.1] * 99]  # by chunk


class DriftingBench(Bench):
    """Operations take as long as their channels say, times the machine's slowdown in the chunk."""

    def __init__(self, base: NDArray[np.int64], operations: int, slowdowns: list[float]) -> None:
        self._base, self._operations, self._slowdowns = base, operations, slowdowns
        self.chunks = 0

    def operations(
        self, rows: NDArray[np.int64], chunk: int, rounds: int, runs: int
    ) -> Iterator[OperationRuns]:
        slowdown = 1.0
        for place, row in enumerate(rows):
            if place % chunk == 0:
                slowdown = self._slowdowns[self.chunks]
                self.chunks += 1
            reference_us = self._operations * float(self._base.sum()) * slowdown
            us = np.full((rounds * runs, self._operations), row.sum() * slowdown)
            yield OperationRuns(us, reference_us)

    def whole(
        self, rows: NDArray[np.int64], rounds: int, runs: int, on_step: Callable[[], None]
    ) -> Timing:
        raise AssertionError("no network is timed whole here")


@pytest.fixture
def measured(small: PrunableModel, tmp_path: Path):
    def run(name: str, slowdowns: list[float]) -> tuple[LatencyTable, Drift]:
        mapped = workload_map(small.operations, FUSIONS["onnxruntime"])
        plan = make_plan(small, mapped, SCHEDULE)
        table = LatencyTable.open(tmp_path / name, target("onnxruntime"))
        table.create()
        drift = Drift.since(table, plan)
        count = len(small.operations.operations)
        bench = DriftingBench(plan.base, count, slowdowns)
        Profile(bench, plan, SCHEDULE, table, Stages(), drift).measure_workloads(plan.design)
        assert bench.chunks > 2
        return table, drift

    return run


def test_what_is_measured_is_divided_by_how_slow_the_machine_is(measured) -> None:
    steady, none = measured("steady", STEADY)
    slowing, drift = measured("slowing", SLOWING)
    assert list(slowing.p50_us()) == list(steady.p50_us())
    assert list(slowing.p50_us().values()) == pytest.approx(
        list(steady.p50_us().values()), abs=0.02
    )
    assert drift.slowdowns[:4] == pytest.approx(SLOWING[:4], abs=1e-3)
    assert set(none.slowdowns) == {1.0}


def test_slow_rounds_do_not_change_what_whole_networks_take() -> None:
    quick = np.random.default_rng(0).uniform(1e-3, 9e-3, (5, 1, 1)) * np.ones((5, 8, 3))
    slow = quick * np.array([1, 1, 2, 2, 2, 3, 1, 1])[None, :, None]  # half of the rounds
    slow[2, 0, 0] *= 50  # and one run that something interrupted
    ratios = typical_ms(slow) / typical_ms(quick)
    assert ratios == pytest.approx(np.full(5, ratios[0]))


def test_a_profile_that_goes_on_measures_against_its_own_start(
    measured, small: PrunableModel
) -> None:
    table, _ = measured("first", STEADY)
    plan = make_plan(small, workload_map(small.operations, FUSIONS["onnxruntime"]), SCHEDULE)
    base_us = sum(table.p50_us()[one] for one in plan.workloads(plan.base))
    assert Drift.since(table, plan).slowdown(base_us * 1.25) == pytest.approx(1.25)
