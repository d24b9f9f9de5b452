"""What every runtime can do: run a network, and say where its time goes."""

from abc import ABC, abstractmethod

from torch import Tensor, nn

from netadapt.latency.fusion import FIXED_COSTS, FUSIONS, FixedCost, Fusion
from netadapt.latency.target import Options, Target
from netadapt.profiling.agent.session import ProfiledSession, Session
from netadapt.profiling.schedule import Schedule
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
        schedule: how its tables are measured.
    """

    name: str
    schedule: Schedule = Schedule()

    @property
    def fusion(self) -> Fusion:
        """Which operations it merges into one workload."""
        return FUSIONS[self.name]

    @property
    def fixed_cost(self) -> FixedCost:
        """What a network costs beyond its operations: once per call, or per workload."""
        return FIXED_COSTS[self.name]

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
