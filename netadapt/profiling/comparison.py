"""Runtimes side by side: each in a process of its own, timed in interleaved rounds."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from netadapt.profiling.agent.timing import Timing, interleaved
from netadapt.profiling.devices.local import RUNS_A_VISIT
from netadapt.profiling.loading import Footprint
from netadapt.profiling.measurement import LatencyStats
from netadapt.profiling.server import NotInstalledError, Server, ServerError

PARTS = 3

Commands = Mapping[str, Sequence[str]]


@dataclass(frozen=True)
class RuntimeBenchmark:
    """What one runtime gave.

    Attributes:
        runtime: its name.
        reason: why it has no figures; empty if it has.
        installed: whether it is there at all.
        version: of the runtime.
        stats: pooled over all rounds.
        spread_percent: how far the medians of the first, middle and last third of the rounds lie
            apart; ``None`` with fewer than three rounds.
        footprint: what loading took; the memory is the peak up to the last run.
    """

    runtime: str
    reason: str = ""
    installed: bool = True
    version: str | None = None
    stats: LatencyStats | None = None
    spread_percent: float | None = None
    footprint: Footprint | None = None


class ComparisonProgress(Protocol):
    """What a comparison reports while it runs."""

    def started(self, stage: str, total: int) -> None:
        """A stage of ``total`` steps begins."""

    def advanced(self) -> None:
        """One step is done."""


def compare(
    commands: Commands,
    runs: int,
    progress: ComparisonProgress,
    energy_mj: Callable[[], float] | None = None,
) -> list[RuntimeBenchmark]:
    """Benchmark several runtimes on this machine; return the fastest first, failures last.

    All are loaded, one after the other, and then timed in interleaved rounds: a slow spell of
    the machine hits all of them.

    Args:
        commands: for each runtime, the command of its ``Server``.
        runs: timed runs of each.
        progress: is told of every runtime loaded and of every round.
        energy_mj: as in ``interleaved``.
    """
    rounds = max(1, runs // RUNS_A_VISIT)
    found: dict[str, RuntimeBenchmark] = {}
    with _loaded(commands, progress, found) as versions:
        servers = list(versions)
        while servers:
            try:
                timing = _timed(servers, rounds, progress, energy_mj)
                for place, server in enumerate(servers):
                    found[server.name] = _figures(server, versions[server], timing, place)
                break
            except ServerError as failure:  # the others start over without it
                found[failure.name] = _failed(failure)
                servers = [server for server in servers if server.name != failure.name]
    rows = [found[name] for name in commands]
    return sorted(rows, key=lambda row: row.stats.p50_ms if row.stats else float("inf"))


@contextmanager
def _loaded(
    commands: Commands, progress: ComparisonProgress, failed: dict[str, RuntimeBenchmark]
) -> Iterator[dict[Server, str]]:
    """Yield the servers that load, with their versions; put the others into ``failed``."""
    servers: list[Server] = []
    versions: dict[Server, str] = {}
    progress.started("runtimes loaded", len(commands))
    try:
        for name, command in commands.items():
            servers.append(Server(name, command))
            try:
                versions[servers[-1]] = servers[-1].ready()
            except ServerError as failure:
                failed[name] = _failed(failure)
            progress.advanced()
        yield versions
    finally:
        for server in servers:
            server.close()


def _timed(
    servers: Sequence[Server],
    rounds: int,
    progress: ComparisonProgress,
    energy_mj: Callable[[], float] | None,
) -> Timing:
    progress.started("rounds", rounds)
    return interleaved(
        servers,
        rounds,
        RUNS_A_VISIT,
        order=np.random.default_rng(0),
        on_round=progress.advanced,
        energy_mj=energy_mj,
    )


def _figures(server: Server, version: str, timing: Timing, place: int) -> RuntimeBenchmark:
    seconds = timing.seconds[place]
    energy = None if timing.energy_mj is None else timing.energy_mj[place]
    return RuntimeBenchmark(
        server.name,
        version=version,
        stats=LatencyStats.of(seconds.ravel(), energy),
        spread_percent=_spread_percent(seconds),
        footprint=server.finish(),
    )


def _failed(failure: ServerError) -> RuntimeBenchmark:
    installed = not isinstance(failure, NotInstalledError)
    return RuntimeBenchmark(failure.name, reason=str(failure), installed=installed)


def _spread_percent(seconds: NDArray[np.float64]) -> float | None:
    """How far the medians of the parts of ``(rounds, runs)`` lie apart."""
    if len(seconds) < PARTS:
        return None
    medians = [float(np.median(part)) for part in np.array_split(seconds, PARTS)]
    return 100 * (max(medians) - min(medians)) / float(np.median(seconds))
