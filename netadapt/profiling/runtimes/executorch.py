"""ExecuTorch on the CPU; XNNPACK runs all operations that it supports."""

from dataclasses import replace

from executorch import version as executorch_version
from torch import nn

from netadapt.latency.target import Target
from netadapt.profiling.runtimes.base import Loader, ProfiledSession, Runtime, Session
from netadapt.profiling.runtimes.executorch_program import Program, lower
from netadapt.profiling.runtimes.executorch_session import (
    ExecuTorchSession,
    ProfiledExecuTorchSession,
)
from netadapt.profiling.schedule import SLOW_TO_LOAD
from netadapt.profiling.traced import TracedNetwork


class ExecuTorchRuntime(Runtime):
    """ExecuTorch's own runtime and kernels, with the XNNPACK delegate, in float32 or int8."""

    name = "executorch"
    schedule = SLOW_TO_LOAD

    def version(self) -> str:
        """The installed version."""
        return str(executorch_version.__version__).split("+")[0]

    def loader(self, network: TracedNetwork, target: Target) -> Loader:
        """Lower ``network``; each network pruned from it is lowered by itself."""
        return _ExecuTorchLoader(network, target.threads, target.precision)


class _ExecuTorchLoader(Loader):
    def __init__(self, network: TracedNetwork, threads: int, precision: str) -> None:
        self._network = network
        self._threads = threads
        self._precision = precision
        self._first_program = lower(network, precision)

    def session(self, model: nn.Module) -> Session:
        return ExecuTorchSession(self._program(model), self._network.example_input, self._threads)

    def profiled_session(self, model: nn.Module) -> ProfiledSession:
        return ProfiledExecuTorchSession(
            self._program(model),
            self._network.example_input,
            self._threads,
            self._network.operations,
        )

    def _program(self, model: nn.Module) -> Program:
        if model is self._network.model:
            return self._first_program
        return lower(replace(self._network, model=model), self._precision)
