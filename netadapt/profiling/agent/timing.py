"""The clock: sessions timed in interleaved rounds."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from netadapt.profiling.agent.session import ProfiledSession, Session

WARMUP_RUNS = 3
SLOWDOWN = 1.25
MAX_REPEATS = 5


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
        seconds: ``(sessions, rounds, runs)`` durations.
        runs: the same shape: which of its session's runs each was, counted from 0.
        energy_mj: ``(sessions, rounds)`` millijoules per run; ``None`` without a counter.
    """

    seconds: NDArray[np.float64]
    runs: NDArray[np.int64]
    energy_mj: NDArray[np.float64] | None = None


@dataclass(frozen=True)
class OperationRuns:
    """One network, timed operation by operation.

    Attributes:
        us: ``(rounds * runs, operations)`` microseconds.
        reference_us: what the reference network took in the same rounds: the sum of its
            operations' medians.
    """

    us: NDArray[np.float64]
    reference_us: float


@dataclass(frozen=True)
class Round:
    """One visit of every session: as ``Timing``, without the rounds."""

    seconds: NDArray[np.float64]
    runs: NDArray[np.int64]
    energy_mj: NDArray[np.float64] | None


def interleaved(
    sessions: Sequence[Session],
    rounds: int,
    runs: int,
    *,
    order: np.random.Generator,
    on_round: Callable[[], None] = lambda: None,
    energy_mj: Callable[[], float] | None = None,
) -> Timing:
    """Time ``sessions`` as ``rounds_of`` does, and call ``on_round`` after every round."""
    timed = []
    for one in rounds_of(sessions, rounds, runs, order=order, energy_mj=energy_mj):
        timed.append(one)
        on_round()
    return stacked(timed)


def stacked(rounds: Sequence[Round]) -> Timing:
    """Return the rounds as one ``Timing``."""
    energies = [one.energy_mj for one in rounds if one.energy_mj is not None]
    return Timing(
        np.stack([one.seconds for one in rounds], axis=1),
        np.stack([one.runs for one in rounds], axis=1),
        np.stack(energies, axis=1) if len(energies) == len(rounds) else None,
    )


def rounds_of(
    sessions: Sequence[Session],
    rounds: int,
    runs: int,
    *,
    order: np.random.Generator,
    energy_mj: Callable[[], float] | None = None,
) -> Iterator[Round]:
    """Time ``sessions`` in rounds, every round visiting all of them in a new order.

    The first run of a visit only warms the caches. A round during which the machine slowed
    down is repeated, at most five times in all.

    Args:
        sessions: loaded networks that have not run yet.
        rounds: how often each is visited.
        runs: timed runs a visit.
        order: shuffles the visits.
        energy_mj: a counter of energy used so far, read around each visit's timed runs.
    """
    for session in sessions:
        for _ in range(WARMUP_RUNS):
            session.run()
    made = np.full(len(sessions), WARMUP_RUNS)
    sentinel = Sentinel()
    sentinel.slowed()
    repeats = 0
    done = 0
    while done < rounds:
        one = _round(sessions, runs, made, order, energy_mj)
        if sentinel.slowed() and repeats < MAX_REPEATS:
            repeats += 1
            continue
        done += 1
        yield one


def _round(
    sessions: Sequence[Session],
    runs: int,
    made: NDArray[np.int64],
    order: np.random.Generator,
    energy_mj: Callable[[], float] | None,
) -> Round:
    """Visit all sessions once; count in ``made`` the runs that each has made."""
    seconds = np.zeros((len(sessions), runs))
    which = np.zeros((len(sessions), runs), dtype=np.int64)
    energy = np.zeros(len(sessions))
    for place in order.permutation(len(sessions)):
        session = sessions[place]
        session.run()
        made[place] += 1
        before = energy_mj() if energy_mj else 0.0
        for run in range(runs):
            seconds[place, run] = session.timed()
            which[place, run] = made[place]
            made[place] += 1
        if energy_mj:
            energy[place] = (energy_mj() - before) / runs
    return Round(seconds, which, energy if energy_mj else None)


def operation_times(
    sessions: Iterable[ProfiledSession],
    chunk: int,
    rounds: int,
    runs: int,
    order: np.random.Generator,
    reference: Callable[[], ProfiledSession],
) -> Iterator[OperationRuns]:
    """Time each session's operations, in their order.

    ``chunk`` sessions and the reference network are loaded and timed together, the next ones only
    then: what the reference takes tells how fast the machine is at that moment.

    Args:
        sessions: loaded networks that have not run yet.
        chunk: how many are timed together.
        rounds: how often each is visited.
        runs: timed runs a visit.
        order: shuffles the visits.
        reference: loads the reference network.
    """
    waiting: list[ProfiledSession] = []

    def finish() -> Iterator[OperationRuns]:
        together = [*waiting, reference()]
        timing = interleaved(together, rounds, runs, order=order)
        found = [one.operation_us()[which.ravel()] for one, which in zip(together, timing.runs)]
        reference_us = float(np.median(found[-1], axis=0).sum())
        for us in found[:-1]:
            yield OperationRuns(us, reference_us)
        waiting.clear()

    for session in sessions:
        waiting.append(session)
        if len(waiting) == chunk:
            yield from finish()
    if waiting:
        yield from finish()
