"""Timing on the machine that netadapt itself runs on."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray
from torch import nn

from netadapt.latency.target import Target
from netadapt.profiling.agent.host import energy_counter, pinned
from netadapt.profiling.agent.session import ProfiledSession, Session
from netadapt.profiling.agent.timing import (
    OperationRuns,
    Timing,
    interleaved,
    operation_times,
)
from netadapt.profiling.devices.base import Bench, Device
from netadapt.profiling.runtimes import load_runtime
from netadapt.profiling.runtimes.base import Loader
from netadapt.profiling.runtimes.loaders import loader_for
from netadapt.profiling.traced import TracedNetwork
from netadapt.pruning import PrunableModel
from netadapt.pruning.blocks import same_blocks
from netadapt.pruning.examples import Example, described

RUNS_A_VISIT = 5


class LocalDevice(Device):
    """A device whose runtimes run in this process."""

    def __init__(self) -> None:
        self._last: tuple[PrunableModel, Target, str, Loader] | None = None

    @contextmanager
    def bench(self, prunable: PrunableModel, target: Target) -> Iterator[Bench]:
        """Prepare to time networks pruned from ``prunable``, on the target's cores."""
        loader = load_runtime(target.runtime).loader(TracedNetwork.of(prunable), target)
        with pinned(target.cores()):
            yield LocalBench(prunable, loader, self.energy())

    def energy(self) -> Callable[[], float] | None:
        """A counter of the millijoules used so far, or ``None``."""
        return energy_counter()

    def _shared(self, traced: PrunableModel, example_input: Example, target: Target) -> Loader:
        """Return the loader of ``traced``; the last one is kept, since its export takes seconds."""
        sizes = described(example_input)
        if (
            self._last is not None
            and self._last[0] is traced
            and self._last[1:3] == (target, sizes)
        ):
            return self._last[3]
        loader = loader_for(traced.model, example_input, target, traced)
        self._last = (traced, target, sizes, loader)
        return loader

    def time(
        self,
        models: Sequence[nn.Module],
        example_input: Example,
        target: Target,
        runs: int,
        traced: PrunableModel | None,
    ) -> Timing:
        """Time any networks whole, in interleaved rounds."""
        shared = self._shared(traced, example_input, target) if traced else None

        def loader_of(model: nn.Module) -> Loader:
            if shared and traced and same_blocks(model, traced.model):
                return shared
            return loader_for(model, example_input, target)

        sessions: list[Session] = []
        with pinned(target.cores()):
            try:
                for model in models:
                    sessions.append(loader_of(model).session(model))
                return interleaved(
                    sessions,
                    max(1, runs // RUNS_A_VISIT),
                    RUNS_A_VISIT,
                    order=np.random.default_rng(0),
                    energy_mj=self.energy(),
                )
            finally:
                for session in sessions:
                    session.close()


class LocalBench(Bench):
    """Times networks in this process, weights and all."""

    def __init__(
        self, prunable: PrunableModel, loader: Loader, energy: Callable[[], float] | None
    ) -> None:
        self._prunable = prunable
        self._loader = loader
        self._energy = energy
        self._order = np.random.default_rng(0)

    def operations(
        self, rows: NDArray[np.int64], chunk: int, rounds: int, runs: int
    ) -> Iterator[OperationRuns]:
        """Time networks operation by operation."""
        sessions = (self._loader.profiled_session(self._network(row)) for row in rows)

        def base() -> ProfiledSession:
            return self._loader.profiled_session(self._prunable.pruned({}))

        return operation_times(sessions, chunk, rounds, runs, self._order, base)

    def whole(
        self,
        rows: NDArray[np.int64],
        rounds: int,
        runs: int,
        on_step: Callable[[], None],
    ) -> Timing:
        """Time whole networks in interleaved rounds."""
        sessions: list[Session] = []
        try:
            for row in rows:
                sessions.append(self._loader.session(self._network(row)))
                on_step()
            return interleaved(
                sessions,
                rounds,
                runs,
                order=self._order,
                on_round=on_step,
                energy_mj=self._energy,
            )
        finally:
            for session in sessions:
                session.close()

    def _network(self, row: NDArray[np.int64]) -> nn.Module:
        widths = dict(zip(self._prunable.groups, row.tolist(), strict=True))
        return self._prunable.pruned(widths)
