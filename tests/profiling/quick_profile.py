"""Profiles as short as they can be, and what each must give."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from netadapt.latency.fusion import FUSIONS
from netadapt.latency.predictor import LatencyPredictor
from netadapt.latency.table import LatencyTable
from netadapt.latency.target import Target
from netadapt.latency.validation import load_validation
from netadapt.latency.workloads import Workload, workload_map
from netadapt.profiling.design import design_networks
from netadapt.profiling.devices import load_device
from netadapt.profiling.profiler import profile
from netadapt.profiling.runtimes import load_runtime
from netadapt.profiling.schedule import ProfileSchedule
from netadapt.pruning import PrunableModel

BRIEF = ProfileSchedule(
    levels=3,
    uniform=0,
    rounds=1,
    runs=2,
    refinements=0,
    calibration_networks=4,
    validation_networks=3,
    validation_rounds=6,
    validation_runs=3,
)
# where loading a network takes long
BRIEFEST = replace(BRIEF, levels=2, calibration_networks=2, validation_networks=2)


class Stages:
    """Notes what a profile reports, and interrupts it after so many steps."""

    def __init__(self, interrupt_after: int | None = None) -> None:
        self.totals: dict[str, int] = {}
        self.steps: dict[str, int] = {}
        self.interrupt_after = interrupt_after
        self._stage = ""

    def started(self, stage: str, total: int) -> None:
        self._stage = stage
        self.totals[stage] = self.totals.get(stage, 0) + total
        self.steps.setdefault(stage, 0)

    def advanced(self) -> None:
        self.steps[self._stage] += 1
        if sum(self.steps.values()) == self.interrupt_after:
            raise KeyboardInterrupt


def target(runtime: str) -> Target:
    return load_device("cpu").target(load_runtime(runtime))


def wanted(prunable: PrunableModel, runtime: str) -> set[Workload]:
    """The workloads that a profile by ``BRIEF`` measures."""
    mapped = workload_map(prunable.operations, FUSIONS[runtime])
    rows = design_networks(mapped, prunable.widths, BRIEF.channel_multiple, BRIEF.levels)
    return {one for row in rows for one in mapped.at(row)}


def assert_profiles(prunable: PrunableModel, runtime: str, lut: Path) -> None:
    """A profile fills, calibrates and validates a table, which then predicts."""
    table = LatencyTable.open(lut, target(runtime))
    report = profile(prunable, table, Stages(), BRIEFEST)
    assert report.added == report.workloads == len(table.rows)
    assert min(row.p50_us for row in table.rows.values()) > 0
    validation = load_validation(table.folder)
    predictor = LatencyPredictor(prunable, LatencyTable.open(lut, target(runtime)))
    again = predictor.batch(validation[list(prunable.groups)].to_numpy())
    np.testing.assert_allclose(again, validation["predicted_ms"], rtol=1e-3)
