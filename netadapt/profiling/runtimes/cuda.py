"""Networks on an NVIDIA GPU: replayed as a CUDA graph, timed by the GPU's own events."""

import copy
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from netadapt.errors import UserError
from netadapt.latency.target import Target
from netadapt.profiling.runtimes.base import ProfiledSession, Session
from netadapt.profiling.traced import booked
from netadapt.pruning.examples import Example, output_tensors, placed, run
from netadapt.pruning.operations import OperationTimer

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
WARMUP_RUNS = 3  # before a capture
QUEUE_AHEAD_CYCLES = 100_000_000  # for the CPU to fill the launch queue in


def cuda_device(target: Target) -> torch.device | None:
    """Return the GPU that ``target`` names, or ``None`` for a CPU.

    Raises:
        UserError: PyTorch sees no such GPU.
    """
    if not target.device.startswith("cuda"):
        return None
    index = int(target.device.partition(":")[2] or 0)
    if index >= torch.cuda.device_count():
        raise UserError(
            f"cannot use {target.device}: PyTorch {torch.__version__} sees "
            f"{torch.cuda.device_count()} GPUs"
        )
    return torch.device("cuda", index)


def _event() -> torch.cuda.Event:
    return torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]


class CudaSession(Session):
    """A network captured once and replayed; ``timed`` returns the time of the GPU's events.

    Args:
        model: copied to the GPU, in the target's precision.
        example_input: likewise.
        device: the GPU.
        precision: ``fp32``, ``fp16`` or ``bf16``.
        prepare: makes what runs in place of the model, such as a compiled one.
    """

    def __init__(
        self,
        model: nn.Module,
        example_input: Example,
        device: torch.device,
        precision: str,
        prepare: Callable[[nn.Module], Callable[[Example], Any]] | None = None,
    ) -> None:
        dtype = DTYPES[precision]
        self._device = device
        self._example = placed(example_input, device, dtype)
        placed_model = copy.deepcopy(model).eval().to(device, dtype)
        call = prepare(placed_model) if prepare else partial(run, placed_model)
        with torch.cuda.device(device), torch.inference_mode():
            side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
            side.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(side):
                for _ in range(WARMUP_RUNS):
                    call(self._example)
            torch.cuda.current_stream().wait_stream(side)
            self._graph: torch.cuda.CUDAGraph | None = torch.cuda.CUDAGraph()
            with torch.cuda.graph(self._graph):
                self._output = call(self._example)

    def run(self) -> None:
        """Replay the network once and wait for it."""
        self.timed()

    def timed(self) -> float:
        """Replay once; return how many seconds the GPU took."""
        assert self._graph is not None, "the session is closed"
        with torch.cuda.device(self._device):
            start, end = _event(), _event()
            torch.cuda.synchronize()
            start.record()
            self._graph.replay()
            end.record()
            torch.cuda.synchronize()
            return float(start.elapsed_time(end)) / 1000

    def output(self) -> NDArray[np.float32]:
        """Replay once and return the output."""
        self.run()
        return output_tensors(self._output)[0].float().cpu().numpy()

    def close(self) -> None:
        """Free the graph and its memory."""
        self._graph = None


class _EventTimer(OperationTimer):  # type: ignore[no-untyped-call]
    """Records a GPU event before and after each operation."""

    def __init__(self) -> None:
        super().__init__(time.perf_counter)
        self.events: list[tuple[torch.cuda.Event, torch.cuda.Event]] = []

    def _call(self, func: Any, args: Any, kwargs: Any) -> Any:
        start, end = _event(), _event()
        start.record()
        result = func(*args, **kwargs)
        end.record()
        self._around = start, end
        return result

    def _add(self, name: str, args: Any, data: list[Tensor], output: Tensor) -> None:
        super()._add(name, args, data, output)
        self.events.append(self._around)


class ProfiledCudaSession(ProfiledSession):
    """An eager network with a GPU event before and after every operation.

    The GPU sleeps first, while the CPU queues the operations.
    """

    def __init__(
        self,
        model: nn.Module,
        example_input: Example,
        device: torch.device,
        precision: str,
        kinds: list[str],
    ) -> None:
        dtype = DTYPES[precision]
        self._kinds = kinds
        self._model = copy.deepcopy(model).eval().to(device, dtype)
        self._example = placed(example_input, device, dtype)
        self._device = device
        self._runs: list[list[float]] = []

    def run(self) -> None:
        """Run the network once and wait for it."""
        with torch.cuda.device(self._device), torch.no_grad():
            torch.cuda.synchronize()
            torch.cuda._sleep(QUEUE_AHEAD_CYCLES)  # type: ignore[no-untyped-call]
            with _EventTimer() as timer:
                timer.watch_input(self._example)
                run(self._model, self._example)
            torch.cuda.synchronize()
            times = [start.elapsed_time(end) * 1000 for start, end in timer.events]
            self._runs.append(booked(timer.kinds, times, self._kinds))

    def timed(self) -> float:
        """Run once; return how many seconds the operations took."""
        self.run()
        return sum(self._runs[-1]) / 1e6

    def operation_us(self) -> NDArray[np.float64]:
        """Return ``(runs, operations)`` microseconds."""
        return np.array(self._runs)
