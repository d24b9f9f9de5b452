"""Where networks are timed."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager

import numpy as np
from numpy.typing import NDArray
from torch import nn

from netadapt.latency.target import Options, Target
from netadapt.profiling.agent.timing import OperationRuns, Timing
from netadapt.profiling.runtimes.base import Runtime
from netadapt.pruning import PrunableModel
from netadapt.pruning.examples import Example


class Bench(ABC):
    """Times networks that one traced network can become, on one target."""

    @abstractmethod
    def operations(
        self, rows: NDArray[np.int64], chunk: int, rounds: int, runs: int
    ) -> Iterator[OperationRuns]:
        """Time the networks of ``(n, G)`` widths operation by operation.

        ``chunk`` networks are timed together, in interleaved rounds, and the base network with
        them as the reference.
        """

    @abstractmethod
    def whole(
        self,
        rows: NDArray[np.int64],
        rounds: int,
        runs: int,
        on_step: Callable[[], None],
    ) -> Timing:
        """Time the networks of ``(n, G)`` widths whole, all of them in interleaved rounds.

        ``on_step`` is called for every network loaded and for every round.
        """


class Device(ABC):
    """A machine that networks can be timed on."""

    @abstractmethod
    def target(self, runtime: Runtime, options: Options | None = None) -> Target:
        """Describe this device with ``runtime`` as a target.

        Raises:
            UserError: the device cannot be reached, or cannot do what is asked.
        """

    @abstractmethod
    def bench(self, prunable: PrunableModel, target: Target) -> AbstractContextManager[Bench]:
        """Prepare to time networks pruned from ``prunable``."""

    @abstractmethod
    def time(
        self,
        models: Sequence[nn.Module],
        example_input: Example,
        target: Target,
        runs: int,
        traced: PrunableModel | None,
    ) -> Timing:
        """Time any networks whole, in interleaved rounds.

        Args:
            models: the networks, timed in eval mode.
            example_input: ``(N, C, H, W)``, N the target's batch.
            target: one of this device's.
            runs: timed runs of each.
            traced: the network that all of them were pruned from, if so: it is exported once.
        """
