"""Fills a table: networks are timed by operation, and predictions compared with whole networks."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from netadapt.errors import UserError
from netadapt.latency import working_set
from netadapt.latency.calibration import CalibrationFit, NetworkSums, calibrated_ms
from netadapt.latency.channel_steps import best_steps
from netadapt.latency.energy import EnergyCalibration, fit_energy, times_by_kind
from netadapt.latency.fusion import FIXED_COSTS
from netadapt.latency.predictor import LatencyPredictor
from netadapt.latency.surfaces import Surfaces
from netadapt.latency.table import SHORTEST_US, Latency, LatencyTable
from netadapt.latency.validation import Report, load_validation, save_validation, summarise
from netadapt.latency.workloads import Workload, WorkloadMap, block_kind, workload_map
from netadapt.profiling.agent.timing import Timing
from netadapt.profiling.design import refining_networks
from netadapt.profiling.devices import load_device
from netadapt.profiling.devices.base import Bench
from netadapt.profiling.drift import Drift
from netadapt.profiling.measurement import require_attached
from netadapt.profiling.plan import Plan, make_plan, with_typical_statistics
from netadapt.profiling.runtimes import load_runtime
from netadapt.profiling.schedule import ProfileSchedule
from netadapt.pruning import PrunableModel


class ProfileProgress(Protocol):
    """What a profile reports while it runs."""

    def started(self, stage: str, total: int) -> None:
        """A stage of ``total`` steps begins."""

    def advanced(self) -> None:
        """One step is done."""


def profile(
    prunable: PrunableModel,
    table: LatencyTable,
    progress: ProfileProgress,
    schedule: ProfileSchedule | None = None,
) -> Report:
    """Measure what ``table`` lacks of ``prunable``'s workloads; calibrate and validate it.

    Raises:
        UserError: the table's target is not attached, the runtime cannot run the network, or
            nothing of it can be pruned.
    """
    require_attached(table.target)
    if not prunable.groups:
        raise UserError("no layer of the network can be pruned; netadapt info says why")
    schedule = schedule or load_runtime(table.target.runtime).schedule
    mapped = workload_map(prunable.operations, table.target.fusion_rules, table.target.dtype)
    plan = make_plan(prunable, mapped, schedule)
    device = load_device(table.target.device)
    settled = with_typical_statistics(prunable)
    with device.bench(settled, table.target) as bench, table.locked():
        table.create()
        added = len(table.missing(plan.designed()))
        known = any(one.names() == plan.subject for one in table.target.calibrations)
        unfinished = added > 0 or not known
        measurement = Profile(bench, plan, schedule, table, progress, Drift.since(table, plan))
        measurement.measure_workloads(plan.design)
        if unfinished:
            measurement.refine(mapped, prunable.widths)
        return measurement.validate(added)


@dataclass(frozen=True)
class Profile:
    """The measurements of one plan, on one bench, into one table.

    Attributes:
        bench: times the networks.
        plan: which networks.
        schedule: how often each is timed.
        table: where the measurements go.
        progress: is told of every step.
        drift: how much slower the machine has become.
    """

    bench: Bench
    plan: Plan
    schedule: ProfileSchedule
    table: LatencyTable
    progress: ProfileProgress
    drift: Drift

    def measure_workloads(self, rows: NDArray[np.int64], stage: str = "workloads") -> None:
        """Time those of ``rows`` that execute what the table lacks; append it chunk by chunk."""
        plan, schedule = self.plan, self.schedule
        missing = np.array([row for row in rows if self.table.missing(plan.workloads(row))])
        self.progress.started(stage, len(missing))
        if not len(missing):
            return
        samples: dict[Workload, list[NDArray[np.float64]]] = defaultdict(list)
        timed = self.bench.operations(missing, schedule.chunk, schedule.rounds, schedule.runs)
        for place, (row, runs) in enumerate(zip(missing, timed, strict=True), start=1):
            us = runs.us / self.drift.slowdown(runs.reference_us)
            for workload, members in zip(plan.workloads(row), plan.members, strict=True):
                samples[workload].append(us[:, list(members)].sum(axis=1))
            self.progress.advanced()
            if place % schedule.chunk == 0 or place == len(missing):
                self.table.append({one: _quantiles(parts) for one, parts in samples.items()})
                samples.clear()

    def refine(self, mapped: WorkloadMap, widths: Mapping[str, int]) -> None:
        """Add networks where interpolation is least sure."""
        for step in range(self.schedule.refinements):
            rows = refining_networks(
                mapped,
                widths,
                self.table.p50_us(),
                self.schedule.chunk,
                self.plan.multiples,
                np.random.default_rng([self.schedule.seed, 2, step]),
            )
            self.measure_workloads(rows, "refinement")

    def validate(self, added: int) -> Report:
        """Time whole networks twice; calibrate with some of them, and compare with the others.

        Args:
            added: the workloads measured now, for the report.
        """
        plan, schedule, table = self.plan, self.schedule, self.table
        rounds = 2 * schedule.validation_rounds
        self.progress.started("validation", len(plan.whole) + rounds)
        timing = self.bench.whole(
            plan.whole, rounds, schedule.validation_runs, self.progress.advanced
        )
        # even and odd rounds: the same networks measured twice
        first = typical_ms(timing.seconds[:, 0::2])
        repeat = typical_ms(timing.seconds[:, 1::2])
        known = schedule.calibration_networks
        networks = [plan.workloads(row) for row in plan.whole]
        latencies = table.p50_us()
        steps = best_steps(latencies)
        weights_mb, inputs_mb = working_set.of_networks(networks)
        surfaces = Surfaces(latencies, steps)
        sums = NetworkSums(
            surfaces.sums(networks),
            weights_mb,
            weights_mb + inputs_mb,
            len(plan.members),
        )
        if np.isnan(sums.us).any():
            raise UserError(
                f"{table.folder} does not cover the networks that validate it; profile into "
                "another folder with --lut"
            )
        fit = CalibrationFit(
            FIXED_COSTS[table.target.runtime], most_lengthened_us(networks[0], latencies), steps
        )
        calibration = fit(sums.part(np.arange(known)), first[:known])
        energy, energies = self._energy(networks, surfaces, timing)
        facts = {**plan.subject, "slowdowns": self.drift.slowdowns, "energy": energy}
        calibration = calibration.model_copy(update=facts)
        target = table.target.model_copy(update={"protocol": dict(vars(schedule))})
        table.save_target(target.calibrated(calibration))
        predicted = calibrated_ms(calibration, sums)
        validation = pd.DataFrame(
            {
                "network": np.arange(len(networks) - known),
                "predicted_ms": predicted[known:],
                "measured_ms": first[known:],
                "repeat_ms": repeat[known:],
            }
        )
        for name, column in energies.items():
            validation[name] = column[known:]
        for name, column in zip(plan.groups, plan.whole[known:].T, strict=True):
            validation[name] = column
        save_validation(table.folder, validation)
        return summarise(validation, len(plan.designed()), added)

    def _energy(
        self, networks: Sequence[Sequence[Workload]], surfaces: Surfaces, timing: Timing
    ) -> tuple[EnergyCalibration | None, dict[str, NDArray[np.float64]]]:
        """Return how energy is predicted, and the columns of the validation that it gives."""
        if timing.energy_mj is None:
            return None, {}
        known = self.schedule.calibration_networks
        measured_mj = np.median(timing.energy_mj, axis=1)
        kind_us = times_by_kind(surfaces, networks)
        fitted = fit_energy({kind: us[:known] for kind, us in kind_us.items()}, measured_mj[:known])
        if fitted is None:
            return None, {"energy_mj": measured_mj}
        return fitted, {"energy_mj": measured_mj, "energy_predicted_mj": fitted.mj(kind_us)}


def most_lengthened_us(network: Sequence[Workload], latencies: Mapping[Workload, float]) -> float:
    """By how much the profiler can have lengthened ``network`` at most, in us.

    It lengthened no workload by more than the cheapest one of its kind took.
    """
    cheapest: dict[str, float] = {}
    for workload, latency in latencies.items():
        kind = block_kind(workload)
        cheapest[kind] = min(latency, cheapest.get(kind, latency))
    return sum(cheapest[block_kind(workload)] for workload in network)


def _quantiles(parts: Sequence[NDArray[np.float64]]) -> Latency:
    samples = np.concatenate(parts)
    quantiles = np.quantile(samples, (0.1, 0.5, 0.9))
    p10, p50, p90 = (max(round(float(q), 2), SHORTEST_US) for q in quantiles)
    return Latency(p10, p50, p90, len(samples))


def revalidate(
    prunable: PrunableModel, table: LatencyTable, progress: ProfileProgress
) -> pd.DataFrame:
    """Time the networks of ``table``'s validation again and predict them anew.

    Returns:
        The columns of ``validation.csv``, and ``then_ms``: what was measured then. Nothing is
        written.

    Raises:
        UserError: the target is not attached, or ``prunable`` is another network.
    """
    require_attached(table.target)
    before = load_validation(table.folder)
    absent = [name for name in prunable.groups if name not in before.columns]
    if absent:
        raise UserError(
            f"{table.folder} was validated on another network: its validation has no group "
            f"{absent[0]}; give that network with --model, and the --lock it was profiled with"
        )
    rows = before[list(prunable.groups)].to_numpy(dtype=np.int64)
    schedule = ProfileSchedule()
    rounds = 2 * schedule.validation_rounds
    with load_device(table.target.device).bench(
        with_typical_statistics(prunable), table.target
    ) as bench:
        progress.started("validation", len(rows) + rounds)
        timing = bench.whole(rows, rounds, schedule.validation_runs, progress.advanced)
    now = before.drop(columns=[name for name in before.columns if name.startswith("energy_")])
    now["predicted_ms"] = LatencyPredictor(prunable, table).batch(rows)
    now["measured_ms"] = typical_ms(timing.seconds[:, 0::2])
    now["repeat_ms"] = typical_ms(timing.seconds[:, 1::2])
    now["then_ms"] = before["measured_ms"]
    return now


def typical_ms(seconds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the ``(networks,)`` medians in ms of ``(networks, rounds, runs)`` seconds.

    A round visits every network once. How slow the machine was in a round, the median of what its
    visits took relative to the same networks' other visits, is divided out before.
    """
    visits = np.median(seconds, axis=2)
    slowdown = np.median(visits / np.median(visits, axis=1, keepdims=True), axis=0)
    steady = seconds / (slowdown / np.median(slowdown))[None, :, None]
    medians: NDArray[np.float64] = np.median(steady.reshape(len(seconds), -1), axis=1) * 1000
    return medians
