"""What every runtime does: run a network, and time its operations."""

from abc import ABC, abstractmethod

from torch import nn

from netadapt.errors import UserError
from netadapt.latency.target import Options, Target
from netadapt.profiling.agent.session import ProfiledSession, Session
from netadapt.profiling.schedule import ProfileSchedule
from netadapt.profiling.traced import TracedNetwork
from netadapt.pruning.examples import Example

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
    schedule: ProfileSchedule = ProfileSchedule()

    @abstractmethod
    def version(self) -> str:
        """The installed version."""

    def on_cuda(self, options: Options) -> bool:
        """Whether it runs on NVIDIA GPUs with ``options``."""
        return False

    def file_session(self, path: str, example_input: Example, target: Target) -> Session:
        """Load the ONNX file at ``path``.

        Raises:
            UserError: the runtime takes no ONNX files.
        """
        raise UserError(
            f"--runtime {self.name} cannot run {path}; run ONNX files with onnxruntime or openvino"
        )

    @abstractmethod
    def loader(self, network: TracedNetwork, target: Target) -> Loader:
        """Prepare to load ``network`` and networks pruned from it.

        Raises:
            UserError: the runtime cannot execute the network.
        """
