"""Filling a table: networks timed operation by operation, then held against the clock."""

import copy
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from netadapt.errors import UserError
from netadapt.latency.calibration import calibrated_ms, fit_calibration
from netadapt.latency.fusion import fusion_of
from netadapt.latency.interpolation import Surfaces, best_block
from netadapt.latency.predictor import LatencyPredictor
from netadapt.latency.table import Latency, LatencyTable, load_validation, save_validation
from netadapt.latency.validation import Report, summarise
from netadapt.latency.workloads import Workload, WorkloadMap, workload_map
from netadapt.profiling.design import (
    design_networks,
    extreme_networks,
    random_networks,
    refining_networks,
)
from netadapt.profiling.devices import load_device
from netadapt.profiling.devices.base import Bench
from netadapt.profiling.measurement import require_attached
from netadapt.profiling.runtimes import load_runtime
from netadapt.profiling.runtimes.base import Runtime
from netadapt.profiling.schedule import Schedule
from netadapt.pruning import PrunableModel


class ProfileProgress(Protocol):
    """What a profile reports while it runs."""

    def started(self, stage: str, total: int) -> None:
        """A stage of ``total`` steps begins."""

    def advanced(self) -> None:
        """One step is done."""


@dataclass(frozen=True)
class Plan:
    """Which networks are timed, by ``(n, G)`` widths, and what they execute.

    Attributes:
        groups: the columns of widths.
        design: timed operation by operation.
        whole: timed whole; the first ``calibration_networks`` of the schedule calibrate.
        workloads: what the network of given widths executes.
        members: for each workload of a network, the places of its operations.
        subject: the network and its input, as the table remembers them.
    """

    groups: tuple[str, ...]
    design: NDArray[np.int64]
    whole: NDArray[np.int64]
    workloads: Callable[[NDArray[np.int64]], tuple[Workload, ...]]
    members: tuple[tuple[int, ...], ...]
    subject: Mapping[str, str] = field(default_factory=dict)


def profile(
    prunable: PrunableModel,
    table: LatencyTable,
    progress: ProfileProgress,
    schedule: Schedule | None = None,
) -> Report:
    """Measure what ``table`` lacks of ``prunable``'s workloads; calibrate and validate it.

    Raises:
        UserError: the table's target is not attached, the runtime cannot run the network, or
            nothing of it can be pruned.
    """
    target = table.target
    require_attached(target)
    if not prunable.groups:
        raise UserError("no layer of the network can be pruned; netadapt info says why")
    runtime = load_runtime(target.runtime)
    schedule = schedule or runtime.schedule
    mapped = workload_map(prunable.operations, fusion_of(target), target.dtype)
    plan = make_plan(prunable, mapped, schedule)
    with load_device(target.device).bench(with_typical_statistics(prunable), target) as bench:
        table.create()
        wanted = {one for row in plan.design for one in plan.workloads(row)}
        added = len(table.missing(wanted))
        unfinished = added > 0 or target.calibration is None
        measure_workloads(bench, plan, plan.design, table, progress, schedule)
        if unfinished:
            _refine(bench, plan, mapped, prunable.widths, table, progress, schedule)
        validation = validate(bench, plan, table, runtime, progress, schedule)
    return summarise(validation, len(wanted), added)


def make_plan(prunable: PrunableModel, mapped: WorkloadMap, schedule: Schedule) -> Plan:
    """Choose the networks to time."""
    multiple = schedule.channel_multiple
    count = schedule.calibration_networks + schedule.validation_networks
    rng = np.random.default_rng([schedule.seed, 1])
    whole = random_networks(prunable.widths, count, multiple, rng)
    # the ends of the range pin the fixed cost down
    whole[:2] = extreme_networks(prunable.widths, multiple)
    return Plan(
        groups=tuple(prunable.groups),
        design=design_networks(mapped, prunable.widths, multiple, schedule.levels),
        whole=whole,
        workloads=mapped.at,
        members=tuple(unit.members for unit in mapped.units),
        subject=subject_of(prunable),
    )


def subject_of(prunable: PrunableModel) -> dict[str, str]:
    """Name the network and its input."""
    spec = getattr(prunable.model, "spec", None)
    return {
        "model": spec.name if spec else type(prunable.model).__name__,
        "input": "x".join(map(str, prunable.example_input.shape)),
    }


def measure_workloads(
    bench: Bench,
    plan: Plan,
    rows: NDArray[np.int64],
    table: LatencyTable,
    progress: ProfileProgress,
    schedule: Schedule,
    stage: str = "workloads",
) -> None:
    """Time those of ``rows`` that execute what the table lacks, and append it chunk by chunk."""
    missing = np.array([row for row in rows if table.missing(plan.workloads(row))])
    progress.started(stage, len(missing))
    if not len(missing):
        return
    samples: dict[Workload, list[NDArray[np.float64]]] = defaultdict(list)
    timed = bench.operations(missing, schedule.chunk, schedule.rounds, schedule.runs)
    for place, (row, runs) in enumerate(zip(missing, timed, strict=True), start=1):
        for workload, members in zip(plan.workloads(row), plan.members, strict=True):
            samples[workload].append(runs[:, list(members)].sum(axis=1))
        progress.advanced()
        if place % schedule.chunk == 0 or place == len(missing):
            table.append({workload: _quantiles(parts) for workload, parts in samples.items()})
            samples.clear()


def _refine(
    bench: Bench,
    plan: Plan,
    mapped: WorkloadMap,
    widths: Mapping[str, int],
    table: LatencyTable,
    progress: ProfileProgress,
    schedule: Schedule,
) -> None:
    """Add networks where interpolation is least sure."""
    for step in range(schedule.refinements):
        rows = refining_networks(
            mapped,
            widths,
            table.p50_us(),
            schedule.chunk,
            schedule.channel_multiple,
            np.random.default_rng([schedule.seed, 2, step]),
        )
        measure_workloads(bench, plan, rows, table, progress, schedule, "refinement")


def _quantiles(parts: Sequence[NDArray[np.float64]]) -> Latency:
    samples = np.concatenate(parts)
    p10, p50, p90 = (round(float(q), 2) for q in np.quantile(samples, (0.1, 0.5, 0.9)))
    return Latency(p10, p50, p90, len(samples))


def validate(
    bench: Bench,
    plan: Plan,
    table: LatencyTable,
    runtime: Runtime,
    progress: ProfileProgress,
    schedule: Schedule,
) -> pd.DataFrame:
    """Time whole networks twice; calibrate with some of them, and compare with the others."""
    rounds = 2 * schedule.validation_rounds
    progress.started("validation", len(plan.whole) + rounds)
    timing = bench.whole(plan.whole, rounds, schedule.validation_runs, progress.advanced)
    # even and odd rounds: the same networks measured twice
    first = typical_ms(timing.seconds[:, 0::2])
    repeat = typical_ms(timing.seconds[:, 1::2])
    known = schedule.calibration_networks
    networks = [plan.workloads(row) for row in plan.whole]
    latencies = table.p50_us()
    block = best_block(latencies)
    summed = Surfaces(latencies, block).sums(networks)
    if np.isnan(summed).any():
        raise UserError(
            f"{table.folder} does not cover the networks that validate it; profile into another "
            "folder with --lut"
        )
    calibration = fit_calibration(
        summed[:known],
        first[:known],
        runtime.fixed_cost,
        len(plan.members),
        block,
        min(latencies.values()),
    )
    table.save_target(
        table.target.model_copy(
            update={"calibration": calibration, "protocol": {**plan.subject, **vars(schedule)}}
        )
    )
    predicted = calibrated_ms(calibration, summed, len(plan.members))
    validation = pd.DataFrame(
        {
            "network": np.arange(len(networks) - known),
            "predicted_ms": predicted[known:],
            "measured_ms": first[known:],
            "repeat_ms": repeat[known:],
        }
    )
    if timing.energy_mj is not None:
        validation["energy_mj"] = np.median(timing.energy_mj, axis=1)[known:]
    for name, column in zip(plan.groups, plan.whole[known:].T, strict=True):
        validation[name] = column
    save_validation(table.folder, validation)
    return validation


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
            f"{absent[0]}; give that one with --model"
        )
    rows = before[list(prunable.groups)].to_numpy(dtype=np.int64)
    schedule = Schedule()
    rounds = 2 * schedule.validation_rounds
    with load_device(table.target.device).bench(
        with_typical_statistics(prunable), table.target
    ) as bench:
        progress.started("validation", len(rows) + rounds)
        timing = bench.whole(rows, rounds, schedule.validation_runs, progress.advanced)
    now = before.drop(columns=[name for name in ("energy_mj",) if name in before.columns])
    now["predicted_ms"] = LatencyPredictor(prunable, table).batch(rows)
    now["measured_ms"] = typical_ms(timing.seconds[:, 0::2])
    now["repeat_ms"] = typical_ms(timing.seconds[:, 1::2])
    now["then_ms"] = before["measured_ms"]
    return now


def typical_ms(seconds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the ``(networks,)`` medians in ms of ``(networks, rounds, runs)`` seconds."""
    medians: NDArray[np.float64] = np.median(seconds.reshape(len(seconds), -1), axis=1) * 1000
    return medians


def with_typical_statistics(prunable: PrunableModel) -> PrunableModel:
    """Return a copy whose batch norms see activations of unit scale.

    With untrained statistics activations can fade into denormal numbers, which are slow.
    """
    settled = copy.copy(prunable)
    settled.model = _settled(prunable.model, prunable.example_input)
    return settled


def _settled(model: nn.Module, example_input: Tensor) -> nn.Module:
    settled = copy.deepcopy(model).train()
    for module in settled.modules():
        if isinstance(module, _BatchNorm):
            module.momentum = 1.0
        elif isinstance(module, nn.Dropout):
            module.eval()
    random = torch.Generator().manual_seed(0)
    if any(isinstance(module, _BatchNorm) for module in settled.modules()):
        with torch.no_grad():
            settled(torch.rand((2, *example_input.shape[1:]), generator=random))
    return settled.eval()
