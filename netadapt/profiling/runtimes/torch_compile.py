"""PyTorch compiled by TorchInductor, on the CPU or on an NVIDIA GPU."""

import copy
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from types import FunctionType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from netadapt.errors import UserError
from netadapt.latency.fusion import FUSIONS
from netadapt.latency.target import Options, Target
from netadapt.latency.workloads import FusedOperation, fuse
from netadapt.profiling.runtimes.base import Loader, ProfiledSession, Runtime, Session
from netadapt.profiling.runtimes.cuda import CudaSession, cuda_device
from netadapt.profiling.runtimes.inductor import Kernel, kernels_of, units_of
from netadapt.profiling.schedule import SLOW_TO_LOAD
from netadapt.profiling.traced import TracedNetwork
from netadapt.pruning.examples import Example, output_tensors, run
from netadapt.pruning.operations import record_operations

FUSION = FUSIONS["torch-compile"]


class TorchCompileRuntime(Runtime):
    """TorchInductor with frozen weights; every network is compiled for its own shapes."""

    name = "torch-compile"
    schedule = replace(SLOW_TO_LOAD, levels=3)

    def version(self) -> str:
        """The installed version."""
        return torch.__version__.split("+")[0]

    def on_cuda(self, options: Options) -> bool:
        """It does, on a CUDA device."""
        return True

    def loader(self, network: TracedNetwork, target: Target) -> Loader:
        """Return the loader; every network is compiled when it is loaded.

        Raises:
            UserError: there is no C++ compiler, or the target is a GPU that PyTorch does not see.
        """
        device = cuda_device(target)
        if device is not None:
            return _CudaLoader(network.example_input, device, target.precision)
        require_compiler()
        units = fuse(network.operations, FUSION)
        return _CompilingLoader(network.example_input, units, target.threads)


def require_compiler() -> None:
    """Raise a ``UserError`` unless Inductor finds a C++ compiler."""
    import torch._inductor.config as inductor

    chosen = inductor.cpp.cxx
    names = chosen if isinstance(chosen, list | tuple) else (chosen,)
    if not any(name and shutil.which(name) for name in names):
        raise UserError(
            "runtime torch-compile needs a C++ compiler and finds none; install the package g++ "
            "(Debian: apt install g++), or name one in the environment variable CXX"
        )


class _CudaLoader(Loader):
    def __init__(self, example_input: Example, device: torch.device, precision: str) -> None:
        self._placed = (example_input, device, precision)

    def session(self, model: nn.Module) -> CudaSession:
        return CudaSession(model, *self._placed, prepare=_Compiled)

    def profiled_session(self, model: nn.Module) -> ProfiledSession:
        raise UserError(
            "the operations that torch-compile runs on a GPU cannot be timed one by one; "
            "for a table use --runtime torch"
        )


class _CompilingLoader(Loader):
    def __init__(
        self, example_input: Example, units: tuple[FusedOperation, ...], threads: int
    ) -> None:
        self._example = example_input
        self._units = units
        self._threads = threads

    def session(self, model: nn.Module) -> "CompiledSession":
        return CompiledSession(model, self._example, self._threads)

    def profiled_session(self, model: nn.Module) -> "ProfiledCompiledSession":
        return ProfiledCompiledSession(model, self._example, self._threads, self._units)


class _Compiled:
    """A network compiled at its first call.

    Dynamo stores compiled code with the code of a function, and stops compiling after a number of
    variants. So each network is called from a function with its own code object.
    """

    def __init__(self, model: nn.Module, **settings: Any) -> None:
        self._name = type(model).__name__
        model.requires_grad_(False)

        def call(example: Example) -> Any:
            return run(model, example)

        own = FunctionType(call.__code__.replace(), call.__globals__, closure=call.__closure__)
        self._run: Callable[[Example], Any] = torch.compile(own, fullgraph=True, dynamic=False)
        self._settings: dict[str, Any] | None = {"freezing": True, "compile_threads": 1, **settings}

    def __call__(self, example: Example) -> Any:
        if self._settings is None:
            return self._run(example)
        import torch._inductor.config as inductor
        from torch._dynamo.exc import TorchDynamoException

        try:
            with inductor.patch(self._settings):
                output = self._run(example)
        except TorchDynamoException as error:
            line = next(iter(str(error).strip().splitlines()), type(error).__name__)
            raise UserError(
                f"torch-compile cannot compile {self._name}: {line}; use --runtime torch"
            ) from error
        self._settings = None
        return output


@contextmanager
def _running(threads: int) -> Iterator[None]:
    """Run inference with ``threads`` threads."""
    before = torch.get_num_threads()
    if before != threads:
        torch.set_num_threads(threads)
    try:
        with torch.inference_mode():
            yield
    finally:
        if before != threads:
            torch.set_num_threads(before)


class CompiledSession(Session):
    """A compiled copy of a network."""

    def __init__(
        self, model: nn.Module, example_input: Example, threads: int, **settings: Any
    ) -> None:
        self._example = example_input
        self._threads = threads
        self._run: _Compiled | None = _Compiled(
            copy.deepcopy(model).eval(), **{"cpp.threads": threads}, **settings
        )
        self.run()

    def run(self) -> None:
        """Run the network once."""
        self.output()

    def output(self) -> NDArray[np.float32]:
        """Run once and return the output."""
        assert self._run is not None, "the session is closed"
        with _running(self._threads):
            return output_tensors(self._run(self._example))[0].numpy()

    def close(self) -> None:
        """Free the weights and the compiled code."""
        self._run = None


class ProfiledCompiledSession(CompiledSession, ProfiledSession):
    """A network compiled so that PyTorch's profiler sees its generated kernels too."""

    def __init__(
        self,
        model: nn.Module,
        example_input: Example,
        threads: int,
        units: tuple[FusedOperation, ...],
    ) -> None:
        # without a GPU, the profiler's GPU library prints warnings
        os.environ.setdefault("KINETO_LOG_LEVEL", "9")
        self._runs: list[list[float]] = []
        self._names: list[str] = []
        self._unit_of: tuple[int, ...] = ()
        super().__init__(model, example_input, threads, **{"cpp.enable_kernel_profile": True})
        operations, _ = record_operations(copy.deepcopy(model).eval(), example_input)
        self._operations, self._units = operations, units
        kernels = self.kernels()
        self._names = [kernel.name for kernel in kernels]
        self._unit_of = units_of(kernels, units, operations)

    def run(self) -> None:
        """Run the network once; the time of every kernel is recorded."""
        if not self._unit_of:  # being compiled
            super().run()
            return
        kernels = self.kernels()
        if [kernel.name for kernel in kernels] != self._names:
            raise UserError("the kernels of torch-compile change between runs; use --runtime torch")
        times = [0.0] * len(self._operations)
        for kernel, unit in zip(kernels, self._unit_of, strict=True):
            times[self._units[unit].main] += kernel.us
        self._runs.append(times)

    def kernels(self) -> list[Kernel]:
        """Run once and return what ran, in order."""
        from torch.profiler import ProfilerActivity
        from torch.profiler import profile as profiled

        with profiled(activities=[ProfilerActivity.CPU], record_shapes=True) as profiler:
            self.output()
        inner: Any = profiler.profiler
        return kernels_of(inner.kineto_results.events())

    def operation_us(self) -> NDArray[np.float64]:
        """Close the session and return ``(runs, operations)`` microseconds."""
        self.close()
        return np.array(self._runs)
