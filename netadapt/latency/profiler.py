"""Filling a table: networks timed operation by operation, then held against the clock."""

import copy
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from scipy.optimize import nnls
from scipy.stats import spearmanr
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from netadapt.errors import UserError
from netadapt.latency.design import design_networks, extreme_networks, random_networks
from netadapt.latency.measurement import interleaved, require_attached
from netadapt.latency.predictor import LatencyPredictor
from netadapt.latency.runtimes import load_runtime
from netadapt.latency.runtimes.base import Loader
from netadapt.latency.table import Latency, LatencyTable, save_validation
from netadapt.latency.target import Calibration
from netadapt.latency.workloads import Workload, WorkloadMap, workload_map
from netadapt.pruning import PrunableModel


@dataclass(frozen=True)
class Schedule:
    """How a table is measured; written into ``target.json``."""

    chunk: int = 7
    rounds: int = 4
    runs: int = 4
    calibration_networks: int = 12
    validation_networks: int = 30
    validation_rounds: int = 10
    validation_runs: int = 3
    channel_multiple: int = 8
    seed: int = 0


class ProfileProgress(Protocol):
    """What a profile reports while it runs."""

    def started(self, stage: str, total: int) -> None:
        """A stage of ``total`` steps begins."""

    def advanced(self) -> None:
        """One step is done."""


@dataclass(frozen=True)
class ProfileReport:
    """What a profile measured, and how far the table is from the clock.

    Attributes:
        workloads: rows that the network needs at the designed widths.
        added: rows that were measured now.
        mape: mean absolute error of whole networks, percent of the measured latency.
        within_5: share of the networks within 5 %, percent; ``within_10`` likewise.
        spearman: rank correlation of predicted and measured.
        repeatability: mean difference of the same networks measured twice, percent.
    """

    workloads: int
    added: int
    mape: float
    within_5: float
    within_10: float
    spearman: float
    repeatability: float


def profile(
    prunable: PrunableModel,
    table: LatencyTable,
    progress: ProfileProgress,
    schedule: Schedule | None = None,
) -> ProfileReport:
    """Measure what ``table`` lacks of ``prunable``'s workloads; calibrate and validate it.

    Raises:
        UserError: the table's target is not attached, or the runtime cannot run the network.
    """
    schedule = schedule or Schedule()
    require_attached(table.target)
    runtime = load_runtime(table.target.runtime)
    workloads = workload_map(prunable.operations, runtime.fusion)
    settled = copy.copy(prunable)
    settled.model = _with_typical_statistics(prunable.model, prunable.example_input)
    loader = runtime.loader(
        settled.model,
        prunable.example_input,
        prunable.operations.operations,
        table.target,
    )
    table.create()
    design = design_networks(workloads, prunable.widths, schedule.channel_multiple)
    wanted = {w for row in design for w in workloads.at(row)}
    added = len(table.missing(wanted))
    _measure_workloads(settled, loader, workloads, design, table, progress, schedule)
    validation = _validate(settled, loader, table, progress, schedule)
    return summarise(validation, len(wanted), added)


def summarise(validation: pd.DataFrame, workloads: int = 0, added: int = 0) -> ProfileReport:
    """Compare predicted and measured latency of ``validation``."""
    measured = validation["measured_ms"].to_numpy()
    error = np.abs(validation["predicted_ms"].to_numpy() / measured - 1)
    repeat = np.abs(validation["repeat_ms"].to_numpy() / measured - 1)
    constant = validation["predicted_ms"].nunique() < 2  # nothing can be pruned: no rank to tell
    rank = float("nan") if constant else spearmanr(validation["predicted_ms"], measured).statistic
    return ProfileReport(
        workloads=workloads,
        added=added,
        mape=float(error.mean() * 100),
        within_5=float((error <= 0.05).mean() * 100),
        within_10=float((error <= 0.10).mean() * 100),
        spearman=float(rank),
        repeatability=float(repeat.mean() * 100),
    )


def _measure_workloads(
    prunable: PrunableModel,
    loader: Loader,
    workloads: WorkloadMap,
    design: NDArray[np.int64],
    table: LatencyTable,
    progress: ProfileProgress,
    schedule: Schedule,
) -> None:
    missing = [row for row in design if table.missing(workloads.at(row))]
    progress.started("workloads", len(missing))
    order = np.random.default_rng(schedule.seed)
    for start in range(0, len(missing), schedule.chunk):
        chunk = missing[start : start + schedule.chunk]
        samples: dict[Workload, list[NDArray[np.float64]]] = defaultdict(list)
        sessions = [loader.profiled_session(_network(prunable, row)) for row in chunk]
        timing = interleaved(sessions, schedule.rounds, schedule.runs, order=order)
        for row, session, counted in zip(chunk, sessions, timing.runs, strict=True):
            runs = session.operation_us()[counted]
            for unit, workload in zip(workloads.units, workloads.at(row), strict=True):
                samples[workload].append(runs[:, list(unit.members)].sum(axis=1))
            progress.advanced()
        table.append({workload: _quantiles(parts) for workload, parts in samples.items()})


def _quantiles(parts: Sequence[NDArray[np.float64]]) -> Latency:
    samples = np.concatenate(parts)
    p10, p50, p90 = (round(float(q), 2) for q in np.quantile(samples, (0.1, 0.5, 0.9)))
    return Latency(p10, p50, p90, len(samples))


def _validate(
    prunable: PrunableModel,
    loader: Loader,
    table: LatencyTable,
    progress: ProfileProgress,
    schedule: Schedule,
) -> pd.DataFrame:
    """Time whole networks twice; calibrate with some of them, and compare with the others."""
    rng = np.random.default_rng([schedule.seed, 1])
    known = schedule.calibration_networks
    networks = random_networks(
        prunable.widths, known + schedule.validation_networks, schedule.channel_multiple, rng
    )
    # the ends of the range pin the fixed cost down
    networks[:2] = extreme_networks(prunable.widths, schedule.channel_multiple)
    progress.started("validation", len(networks) + 2 * schedule.validation_rounds)
    sessions = []
    for row in networks:
        sessions.append(loader.session(_network(prunable, row)))
        progress.advanced()
    timing = interleaved(
        sessions,
        2 * schedule.validation_rounds,
        schedule.validation_runs,
        order=rng,
        on_round=progress.advanced,
    )
    for session in sessions:
        session.close()
    # even and odd rounds: the same networks measured twice
    rounds = timing.seconds.reshape(len(networks), -1, schedule.validation_runs) * 1000
    first = np.median(rounds[:, 0::2].reshape(len(networks), -1), axis=1)
    repeat = np.median(rounds[:, 1::2].reshape(len(networks), -1), axis=1)
    _calibrate(prunable, table, networks[:known], first[:known], schedule)
    predictor = LatencyPredictor(prunable, table)
    validation = pd.DataFrame(
        {
            "network": np.arange(schedule.validation_networks),
            "predicted_ms": predictor.batch(networks[known:]),
            "measured_ms": first[known:],
            "repeat_ms": repeat[known:],
        }
    )
    for name, column in zip(prunable.groups, networks[known:].T, strict=True):
        validation[name] = column
    save_validation(table.folder, validation)
    return validation


def _calibrate(
    prunable: PrunableModel,
    table: LatencyTable,
    networks: NDArray[np.int64],
    measured_ms: NDArray[np.float64],
    schedule: Schedule,
) -> None:
    """Fit scale and fixed cost to whole networks, by relative error, neither negative."""
    neutral = Calibration(scale=1, call_us=0, workload_us=0, networks=len(networks))
    table.target = table.target.model_copy(update={"calibration": neutral})
    predictor = LatencyPredictor(prunable, table)
    summed_us = predictor.batch(networks) * 1000
    measured_us = measured_ms * 1000
    system = np.stack([summed_us, np.ones_like(summed_us)], axis=1) / measured_us[:, None]
    (scale, fixed), _ = nnls(system, np.ones_like(measured_us))
    if scale == 0:
        raise UserError(
            "the networks' latency does not follow the sum of their workloads: the machine is too "
            "busy to measure; stop what else runs on it and profile again"
        )
    runtime = load_runtime(table.target.runtime)
    count = len(workload_map(prunable.operations, runtime.fusion).units)
    calibration = Calibration(
        scale=float(scale),
        call_us=float(fixed) if runtime.fixed_cost == "call" else 0.0,
        workload_us=float(fixed) / count if runtime.fixed_cost == "workload" else 0.0,
        networks=len(networks),
    )
    written = dict(vars(schedule))
    table.save_target(
        table.target.model_copy(update={"calibration": calibration, "protocol": written})
    )


def _network(prunable: PrunableModel, row: NDArray[np.int64]) -> nn.Module:
    return prunable.pruned(dict(zip(prunable.groups, row.tolist(), strict=True)))


def _with_typical_statistics(model: nn.Module, example_input: Tensor) -> nn.Module:
    """Return a copy whose batch norms see activations of unit scale.

    With untrained statistics activations can fade into denormal numbers, which are slow.
    """
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
