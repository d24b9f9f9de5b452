"""The clock: how long whole networks take on a target."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from netadapt.errors import UserError
from netadapt.latency.devices import load_device
from netadapt.latency.runtimes import load_runtime
from netadapt.latency.runtimes.base import Loader, Session
from netadapt.latency.target import Target
from netadapt.pruning import PrunableModel
from netadapt.pruning.operations import record_operations
from netadapt.pruning.surgery import structural_copy

WARMUP_RUNS = 3
SLOWDOWN = 1.25
MAX_REPEATS = 5


@dataclass(frozen=True)
class LatencyStats:
    """Quantiles of a network's latency in ms, and how many runs they rest on."""

    p10_ms: float
    p50_ms: float
    p90_ms: float
    runs: int

    @classmethod
    def of(cls, seconds: NDArray[np.float64]) -> "LatencyStats":
        """Summarise ``(runs,)`` durations."""
        p10, p50, p90 = np.quantile(seconds * 1000, (0.1, 0.5, 0.9))
        return cls(float(p10), float(p50), float(p90), len(seconds))


class Sentinel:
    """A fixed piece of work, re-timed to notice a machine that has slowed down."""

    def __init__(self) -> None:
        self._work = np.linspace(0, 1, 1 << 15, dtype=np.float32)
        self._best = float("inf")

    def slowed(self) -> bool:
        """Time the work; tell whether it took much longer than the best so far."""
        times = []
        for _ in range(5):
            start = time.perf_counter()
            np.sin(self._work)
            times.append(time.perf_counter() - start)
        now = float(np.median(times))
        self._best = min(self._best, now)
        return now > SLOWDOWN * self._best


@dataclass(frozen=True)
class Timing:
    """What interleaved rounds gave.

    Attributes:
        seconds: ``(sessions, runs)`` durations.
        runs: ``(sessions, runs)`` which of each session's runs they are, counted from 0.
    """

    seconds: NDArray[np.float64]
    runs: NDArray[np.int64]


def interleaved(
    sessions: Sequence[Session],
    rounds: int,
    runs: int,
    *,
    order: np.random.Generator,
    on_round: Callable[[], None] = lambda: None,
) -> Timing:
    """Time ``sessions`` in rounds, every round visiting all of them in a new order.

    The first run of a visit only warms the caches. A round during which the machine slowed
    down is repeated, at most five times in all.

    Args:
        sessions: loaded networks that have not run yet.
        rounds: how often each is visited.
        runs: timed runs a visit.
        order: shuffles the visits.
        on_round: called after every round.
    """
    for session in sessions:
        for _ in range(WARMUP_RUNS):
            session.run()
    made = np.full(len(sessions), WARMUP_RUNS)
    sentinel = Sentinel()
    sentinel.slowed()
    seconds = np.zeros((rounds, len(sessions), runs))
    which = np.zeros((rounds, len(sessions), runs), dtype=np.int64)
    repeats = 0
    done = 0
    while done < rounds:
        for place in order.permutation(len(sessions)):
            sessions[place].run()
            made[place] += 1
            for run in range(runs):
                start = time.perf_counter()
                sessions[place].run()
                seconds[done, place, run] = time.perf_counter() - start
                which[done, place, run] = made[place]
                made[place] += 1
        if sentinel.slowed() and repeats < MAX_REPEATS:
            repeats += 1
            continue
        done += 1
        on_round()
    shape = (len(sessions), rounds * runs)
    return Timing(
        seconds.transpose(1, 0, 2).reshape(shape), which.transpose(1, 0, 2).reshape(shape)
    )


def measure(
    model: nn.Module, example_input: Tensor, target: Target, *, runs: int = 60
) -> LatencyStats:
    """Measure ``model`` on ``target``.

    Args:
        model: any network; timed in eval mode.
        example_input: ``(N, C, H, W)``, N the target's batch.
        target: device, runtime, threads; it must be the machine at hand.
        runs: timed runs, after a warm-up.

    Raises:
        UserError: the target is another device or runtime version, or the batch differs.
    """
    return measure_all([model], example_input, target, runs=runs)[0]


def measure_all(
    models: Sequence[nn.Module],
    example_input: Tensor,
    target: Target,
    *,
    runs: int = 60,
    traced: PrunableModel | None = None,
) -> list[LatencyStats]:
    """Measure several networks in interleaved rounds; otherwise as ``measure``.

    Args:
        models: the networks.
        example_input: as for ``measure``.
        target: as for ``measure``.
        runs: timed runs of each.
        traced: the network that all of them were pruned from, if so: it is exported once.
    """
    require_attached(target)
    if example_input.shape[0] != target.batch:
        raise UserError(
            f"the example input has batch {example_input.shape[0]}; the target {target.batch}"
        )
    runtime = load_runtime(target.runtime)

    def loader_of(model: nn.Module) -> Loader:
        operations, _ = record_operations(structural_copy(model).eval(), example_input)
        return runtime.loader(model, example_input, tuple(operations), target)

    shared = loader_of(traced.model) if traced else None
    sessions = []
    try:
        for model in models:
            sessions.append((shared or loader_of(model)).session(model))
        rounds = max(1, runs // 5)
        timing = interleaved(sessions, rounds, 5, order=np.random.default_rng(0))
    finally:
        for session in sessions:
            session.close()
    return [LatencyStats.of(row) for row in timing.seconds]


def attached(target: Target) -> str | None:
    """Return ``None`` if ``target`` is this machine as it is now, else what keeps it from being."""
    try:
        here = load_device(target.device).target(
            load_runtime(target.runtime), target.threads, target.precision, target.batch
        )
    except UserError as error:
        return str(error)
    difference = target.difference(here)
    return difference and f"this machine has {difference}"


def require_attached(target: Target) -> None:
    """Raise a ``UserError`` if ``target`` is not this machine as it is now."""
    reason = attached(target)
    if reason:
        raise UserError(f"the target {target.slug} is not attached: {reason}")
