"""OpenVINO sessions."""

from __future__ import annotations

import functools
import time
from typing import TYPE_CHECKING, Any

import numpy as np
import openvino

from netadapt.profiling.agent.session import ProfiledSession, Session, inputs_of, operation_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from netadapt.profiling.agent.session import Example

USUAL = 1.1  # runs longer than this share of the median were disturbed, as the first one is
# a node's duration and the average of its durations are both rounded down to microseconds
ROUNDED_OFF_US = 1.0
HINTS = {"fp32": "f32", "bf16": "bf16", "fp16": "f16", "int8": "f32"}
NOT_EXECUTED = ("Const", "Input", "Output")


def version() -> str:
    """The installed version."""
    return str(openvino.__version__).split("-")[0]


@functools.lru_cache(maxsize=None)  # noqa: UP033  # boards have Python 3.8
def _core() -> Any:
    return openvino.Core()


class OpenVinoSession(Session):
    """An ONNX model, by its bytes or the path of its file, ready to run on ``example``.

    Computes float operations in ``precision`` (in float32 where that is int8), in one stream of
    ``threads`` threads. OpenVINO binds none of them to a core: the process' own affinity decides.
    """

    def __init__(
        self,
        model: bytes | str,
        example: Example,
        threads: int,
        precision: str = "fp32",
        *,
        counting: bool = False,
    ) -> None:
        options = {
            "INFERENCE_PRECISION_HINT": HINTS[precision],
            "INFERENCE_NUM_THREADS": threads,
            "NUM_STREAMS": 1,
            "ENABLE_CPU_PINNING": False,
            "PERF_COUNT": counting,
        }
        self._compiled: Any = _core().compile_model(_core().read_model(model), "CPU", options)
        self._request: Any = self._compiled.create_infer_request()
        for place, array in enumerate(inputs_of(example)):
            self._request.set_input_tensor(place, openvino.Tensor(array))

    def run(self) -> None:
        """Run the network once."""
        assert self._request is not None, "the session is closed"
        self._request.infer(share_outputs=True)

    def output(self) -> NDArray[Any]:
        """Run the network once and return its first output."""
        self.run()
        return np.array(self._request.get_output_tensor(0).data)

    def close(self) -> None:
        """Free the network."""
        self._request = self._compiled = None


class ProfiledOpenVinoSession(OpenVinoSession, ProfiledSession):
    """A session whose nodes OpenVINO counts the time of; they bear ``netadapt_opN`` names.

    OpenVINO tells only the averages over all runs so far. A disturbed run is left out by the
    difference of what was told before and after it, and the average of the others is split among
    the operations; each run's own duration, by the clock, is then split in the same proportions.
    """

    def __init__(
        self,
        model: bytes | str,
        example: Example,
        threads: int,
        precision: str = "fp32",
        *,
        operations: int,
    ) -> None:
        super().__init__(model, example, threads, precision, counting=True)
        self._operations = operations
        self._original_names = _original_names(self._compiled)
        self._seconds: list[float] = []
        self._averages_us: list[list[float]] = []

    def run(self) -> None:
        """Run the network once and read the counters."""
        start = time.perf_counter()
        super().run()
        self._seconds.append(time.perf_counter() - start)
        self._averages_us.append(
            [node.real_time.total_seconds() * 1e6 for node in self._request.profiling_info]
        )

    def named_operations(self) -> set[int]:
        """The operations to which the compiled network books time."""
        return {
            operation
            for names in self._original_names.values()
            if (operation := _first_operation(names)) is not None
        }

    def operation_us(self) -> NDArray[np.float64]:
        """Close the session and return ``(runs, operations)`` microseconds."""
        averages, seconds = np.array(self._averages_us), np.array(self._seconds)
        totals = averages * np.arange(1, len(averages) + 1)[:, None]
        steps = np.diff(totals, axis=0, prepend=np.zeros((1, totals.shape[1])))
        usual = seconds <= USUAL * np.median(seconds)
        average = self._by_operation(np.maximum(steps[usual].mean(axis=0), 0))
        self.close()
        return np.outer(seconds / seconds[usual].mean(), average)

    def _by_operation(self, nodes_us: NDArray[np.float64]) -> NDArray[np.float64]:
        found = np.zeros(self._operations)
        waiting = 0.0
        last: int | None = None
        for node, duration in zip(self._request.profiling_info, nodes_us):
            if node.node_name not in self._original_names:
                continue
            operation = _first_operation(self._original_names[node.node_name])
            if operation is not None:
                found[operation] += duration + ROUNDED_OFF_US + waiting
                waiting, last = 0.0, operation
            elif duration > 0:  # a change of layout is paid for by the next reader
                waiting += duration + ROUNDED_OFF_US
        if last is not None:  # ... or by who was last, when the network's output is changed
            found[last] += waiting
        return found


def _original_names(compiled: Any) -> dict[str, str]:
    """For each node of the compiled network, the names of the ONNX nodes that were merged in it."""
    names = {}
    for node in compiled.get_runtime_model().get_ordered_ops():
        information = node.get_rt_info()
        if str(information["layerType"].astype(str)) not in NOT_EXECUTED:
            names[node.get_friendly_name()] = str(information["originalLayersNames"].astype(str))
    return names


def _first_operation(names: str) -> int | None:
    found = [operation_of(name) for name in names.split(",")]
    return min((place for place in found if place is not None), default=None)
