"""What every runtime can do: run a network, and say where its time goes."""

from abc import ABC, abstractmethod
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from netadapt.latency.target import Target
from netadapt.latency.workloads import Fusion
from netadapt.pruning import Operation


class Session(ABC):
    """A network loaded into a runtime, its input prepared."""

    @abstractmethod
    def run(self) -> None:
        """Run the network once and wait for its output."""

    def close(self) -> None:
        """Free what the runtime holds."""
        return


class ProfiledSession(Session):
    """A session that also records how long each operation took."""

    @abstractmethod
    def operation_us(self) -> NDArray[np.float64]:
        """Close the session and return ``(runs, operations)`` microseconds.

        Columns follow the traced operations; what a fusion swallowed is 0 and its time
        stands with an operation it was fused with.
        """


class Loader(ABC):
    """Loads the networks that one traced network can become."""

    @abstractmethod
    def session(self, model: nn.Module) -> Session:
        """Load ``model``, pruned from the network this loader was made for."""

    @abstractmethod
    def profiled_session(self, model: nn.Module) -> ProfiledSession:
        """Load ``model`` so that its operations are timed."""


class Runtime(ABC):
    """One inference runtime."""

    name: str
    fusion: Fusion
    fixed_cost: Literal["call", "workload"]  # what a network costs beyond its operations

    @abstractmethod
    def version(self) -> str:
        """The installed version."""

    @abstractmethod
    def loader(
        self,
        model: nn.Module,
        example_input: Tensor,
        operations: tuple[Operation, ...],
        target: Target,
    ) -> Loader:
        """Prepare to load ``model`` and networks pruned from it.

        Raises:
            UserError: the runtime cannot execute the network.
        """
