"""PyTorch, eager, on the CPU or on an NVIDIA GPU."""

import copy
import time

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from netadapt.latency.target import Options, Target
from netadapt.profiling.runtimes.base import Loader, ProfiledSession, Runtime, Session
from netadapt.profiling.runtimes.cuda import DTYPES, CudaSession, ProfiledCudaSession, cuda_device
from netadapt.profiling.traced import TracedNetwork, booked
from netadapt.pruning.examples import Example, placed, run
from netadapt.pruning.operations import OperationTimer


class TorchRuntime(Runtime):
    """Eager PyTorch: every operation is a separate call."""

    name = "torch"

    def version(self) -> str:
        """The installed version."""
        return torch.__version__.split("+")[0]

    def on_cuda(self, options: Options) -> bool:
        """It does, on a CUDA device."""
        return True

    def loader(self, network: TracedNetwork, target: Target) -> Loader:
        """Networks need no preparation.

        Raises:
            UserError: the target is a GPU that PyTorch does not see.
        """
        device = cuda_device(target)
        if device is not None:
            return _CudaLoader(network, device, target.precision)
        return _TorchLoader(network, target)


class _CudaLoader(Loader):
    def __init__(self, network: TracedNetwork, device: torch.device, precision: str) -> None:
        self._placed = (network.example_input, device, precision)
        self._kinds = network.kinds

    def session(self, model: nn.Module) -> CudaSession:
        return CudaSession(model, *self._placed)

    def profiled_session(self, model: nn.Module) -> ProfiledSession:
        return ProfiledCudaSession(model, *self._placed, self._kinds)


class _TorchLoader(Loader):
    def __init__(self, network: TracedNetwork, target: Target) -> None:
        self._dtype = DTYPES[target.precision]
        self._example = placed(network.example_input, dtype=self._dtype)
        self._threads = target.threads
        self._kinds = network.kinds

    def session(self, model: nn.Module) -> Session:
        return _TorchSession(model, self._example, self._dtype, self._threads)

    def profiled_session(self, model: nn.Module) -> ProfiledSession:
        return _ProfiledTorchSession(model, self._example, self._dtype, self._threads, self._kinds)


class _TorchSession(Session):
    def __init__(
        self, model: nn.Module, example_input: Example, dtype: torch.dtype, threads: int
    ) -> None:
        self._model = copy.deepcopy(model).eval().to(dtype)
        self._example = example_input
        self._threads = threads

    def run(self) -> None:
        before = torch.get_num_threads()
        if before != self._threads:
            torch.set_num_threads(self._threads)
        try:
            with torch.inference_mode():
                run(self._model, self._example)
        finally:
            if before != self._threads:
                torch.set_num_threads(before)


class _ProfiledTorchSession(_TorchSession, ProfiledSession):
    def __init__(
        self,
        model: nn.Module,
        example_input: Example,
        dtype: torch.dtype,
        threads: int,
        kinds: list[str],
    ) -> None:
        super().__init__(model, example_input, dtype, threads)
        self._kinds = kinds
        self._runs: list[list[float]] = []

    def run(self) -> None:
        before = torch.get_num_threads()
        torch.set_num_threads(self._threads)
        try:
            with torch.no_grad(), OperationTimer(time.perf_counter) as timer:
                timer.watch_input(self._example)
                run(self._model, self._example)
        finally:
            torch.set_num_threads(before)
        self._runs.append(booked(timer.kinds, timer.seconds, self._kinds))

    def operation_us(self) -> NDArray[np.float64]:
        return np.array(self._runs) * 1e6
