"""ExecuTorch sessions, and how to read their profile."""

import re
import tempfile
import warnings
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from netadapt.deployment.executorch import silent_stderr
from netadapt.errors import UserError
from netadapt.latency.fusion import FUSIONS
from netadapt.latency.workloads import FusedOperation, fuse
from netadapt.profiling.runtimes.base import ProfiledSession, Session
from netadapt.profiling.runtimes.executorch_program import Program
from netadapt.pruning import Operation
from netadapt.pruning.examples import Example, tensors_in
from netadapt.pruning.operations import ACTIVATIONS, KINDS

FUSION = FUSIONS["executorch"]
# names of XNNPACK's operators, up to the bracket, and the kinds that they carry out
XNNPACK_KINDS = {
    "Convolution": ("conv2d", "batch_norm"),
    "Deconvolution": ("conv2d",),
    "Fully Connected": ("conv2d", "linear"),
    "Dynamic Fully Connected": ("linear",),
    "Add": ("add",),
    "Subtract": ("sub",),
    "Multiply": ("mul",),
    "Divide": ("div",),
    "Max Pooling": ("pool",),
    "Average Pooling": ("pool",),
    "Mean": ("pool",),
    "Resize Bilinear": ("upsample",),
    "Constant Pad": ("pad",),
    "Copy": ("concat",),
    "Clamp": ("activation",),
    "Sigmoid": ("activation",),
    "TanH": ("activation",),
    "HardSwish": ("activation",),
    "LeakyReLU": ("activation",),
    "GELU": ("activation",),
    "ApproxGELU": ("activation",),
    "ELU": ("activation",),
}
# changes of layout or type belong to the operation before; the first ones to the one after
LAYOUT = {
    "Convert", "Transpose", "Static Reshape", "permute_copy", "view_copy", "_to_dim_order_copy",
    "_clone_dim_order", "clone", "squeeze_copy", "unsqueeze_copy", "expand_copy",
}  # fmt: skip
NATIVE = "native_call_"
ROUNDED_OFF_US = 0.5  # XNNPACK's times are rounded down to microseconds


class ExecuTorchSession(Session):
    """A lowered network, ready to run on ``example``."""

    def __init__(
        self, program: Program, example: Example, threads: int, *, tracing: bool = False
    ) -> None:
        _set_threads(threads)
        self._example = [tensor.detach().contiguous() for tensor in tensors_in(example)]
        self._data = program.data  # the program refers to it
        self._program: Any = _bindings()._load_program_from_buffer(
            program.data, enable_etdump=tracing
        )
        self._method: Any = self._program.load_method("forward")
        _LOADED.add(self)

    def run(self) -> None:
        """Run the network once."""
        assert self._method is not None, "the session is closed"
        self._method.call(self._example, clone_outputs=False)

    def output(self) -> NDArray[np.float32]:
        """Run the network once and return its first output."""
        answer: Tensor = self._method.call(self._example)[0]
        return answer.numpy()

    def close(self) -> None:
        """Free the network."""
        self._method = self._program = None
        _LOADED.discard(self)


class ProfiledExecuTorchSession(ExecuTorchSession, ProfiledSession):
    """A session that records the time of every kernel, also of those within XNNPACK."""

    def __init__(
        self,
        program: Program,
        example: Example,
        threads: int,
        operations: Sequence[Operation],
    ) -> None:
        super().__init__(program, example, threads, tracing=True)
        self._operations = operations
        rank = {place: rank for rank, place in enumerate(program.order)}
        self._units = sorted(fuse(operations, FUSION), key=lambda unit: rank[unit.main])

    def operation_us(self) -> NDArray[np.float64]:
        """Close the session and return ``(runs, operations)`` microseconds."""
        with tempfile.TemporaryDirectory(prefix="netadapt-profile-") as folder:
            path = str(Path(folder) / "run.etdump")
            self._program.write_etdump_result_to_file(path)
            calls = _traced_calls(path)
        self.close()
        found = np.zeros((len(calls[0].whole_us), len(self._operations)))
        waiting = [(unit, self._pieces(unit)) for unit in self._units]
        for call in calls:
            for place, durations in self._assigned(call, waiting):
                found[:, place] += durations
        if waiting:
            main = self._operations[waiting[0][0].main]
            raise _untimed(f"{main.kind} {main.module}", "the profile lacks its operator")
        return found

    def _pieces(self, unit: FusedOperation) -> int:
        """Number of operators of a unit: XNNPACK copies all inputs of a concat but one."""
        main = self._operations[unit.main]
        return len(main.inputs) - 1 if main.kind == "concat" else 1

    def _assigned(
        self, call: "_Call", waiting: list[tuple[FusedOperation, int]]
    ) -> Iterator[tuple[int, NDArray[np.float64]]]:
        """Yield an operation's place and ``(runs,)`` microseconds for all of ``call``."""
        # the call's time is as exact as the clock, those of its operators are rounded
        scale = call.whole_us / sum(us for _, us in call.operators)
        last: int | None = None
        layout = np.zeros_like(call.whole_us)
        for name, durations in call.operators:
            if name in LAYOUT:
                layout = layout + durations
            else:
                last = self._take(name, waiting)
                layout = layout + durations
            if last is not None:
                yield last, layout * scale
                layout = np.zeros_like(call.whole_us)
        if layout.any():
            raise _untimed(call.operators[0][0], "no operation comes before or after it")

    def _take(self, name: str, waiting: list[tuple[FusedOperation, int]]) -> int:
        kinds = XNNPACK_KINDS.get(name) or (_kind_of_native(name),)
        for index, (unit, pieces) in enumerate(waiting):
            if self._operations[unit.main].kind in kinds:
                if pieces > 1:
                    waiting[index] = (unit, pieces - 1)
                else:
                    del waiting[index]
                return unit.main
        raise _untimed(name, "it belongs to no traced operation")


def _untimed(what: str, why: str) -> UserError:
    return UserError(f"cannot time {what} in executorch: {why}; use --runtime torch")


def _kind_of_native(name: str) -> str:
    return "activation" if name in ACTIVATIONS else KINDS.get(name, name)


@dataclass(frozen=True)
class _Call:
    """The time of one instruction of a program: a delegate, or one of ExecuTorch's own kernels.

    Attributes:
        operators: names and ``(runs,)`` microseconds of the operators within it, in order.
        whole_us: ``(runs,)`` microseconds of the whole instruction.
    """

    operators: tuple[tuple[str, NDArray[np.float64]], ...]
    whole_us: NDArray[np.float64]


def _traced_calls(path: str) -> list[_Call]:
    from executorch.devtools import Inspector

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        blocks = Inspector(etdump_path=path).event_blocks
    (block,) = (one for one in blocks if one.name == "Execute")
    calls: list[_Call] = []
    operators: list[tuple[str, NDArray[np.float64]]] = []
    for event in block.events:
        durations = np.array(event.perf_data.raw) * 1000
        if event.name in ("DELEGATE_CALL", "OPERATOR_CALL"):
            calls.append(_Call(tuple(operators), durations))
            operators = []
        elif event.is_delegated_op:
            name = re.split(r" \(| #", event.name)[0]
            operators.append((name, durations + ROUNDED_OFF_US))
        elif event.name.startswith(NATIVE):
            operators.append((event.name.removeprefix(NATIVE).split(".")[0], durations))
    return calls


_LOADED: weakref.WeakSet[ExecuTorchSession] = weakref.WeakSet()


def _set_threads(threads: int) -> None:
    """Set the size of ExecuTorch's thread pool; sessions that are open would lose theirs."""
    bindings = _bindings()
    with silent_stderr():
        if bindings._threadpool_get_thread_count() == threads:
            return
        if len(_LOADED):
            raise RuntimeError("close the sessions of one number of threads before using another")
        bindings._unsafe_reset_threadpool(threads)


def _bindings() -> Any:
    with warnings.catch_warnings(), silent_stderr():
        warnings.simplefilter("ignore")
        from executorch.extension.pybindings import portable_lib
    return portable_lib
