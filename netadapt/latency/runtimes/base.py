"""What every runtime can do: run a network, and say where its time goes."""

from abc import ABC, abstractmethod
from typing import Literal

from torch import Tensor, nn

from netadapt.latency.agent.session import ProfiledSession, Session
from netadapt.latency.schedule import Schedule
from netadapt.latency.target import Options, Target
from netadapt.latency.workloads import Fusion
from netadapt.pruning import Operation

__all__ = ["Loader", "ProfiledSession", "Runtime", "Session"]


class Loader(ABC):
    """Loads the networks that one traced network can become."""

    @abstractmethod
    def session(self, model: nn.Module) -> Session:
        """Load ``model``, pruned from the network this loader was made for."""

    @abstractmethod
    def profiled_session(self, model: nn.Module) -> ProfiledSession:
        """Load ``model`` so that its operations are timed."""


class Runtime(ABC):
    """One inference runtime.

    Attributes:
        name: as ``--runtime`` selects it.
        fusion: which operations it merges into one workload.
        fixed_cost: whether what a network costs beyond its operations is one a call or one a
            workload.
        schedule: how its tables are measured.
    """

    name: str
    fusion: Fusion
    fixed_cost: Literal["call", "workload"]
    schedule: Schedule = Schedule()

    @abstractmethod
    def version(self) -> str:
        """The installed version."""

    def on_cuda(self, options: Options) -> bool:
        """Whether it runs on NVIDIA GPUs with ``options``."""
        return False

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
