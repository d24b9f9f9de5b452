"""ONNX Runtime sessions."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnxruntime

from netadapt.profiling.agent.session import ProfiledSession, Session, inputs_of, operation_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from netadapt.profiling.agent.session import Example

PROVIDERS = {
    "": ["CPUExecutionProvider"],
    "cuda": ["CUDAExecutionProvider", "CPUExecutionProvider"],
    "tensorrt": ["TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider"],
}


def version() -> str:
    """The installed version."""
    return str(onnxruntime.__version__)


def providers(name: str) -> list[str]:
    """The execution providers of ``name``, in order of preference.

    Raises:
        ValueError: the installed wheel lacks the first of them.
    """
    wanted = PROVIDERS[name]
    present = onnxruntime.get_available_providers()
    if wanted[0] not in present:
        raise ValueError(f"this onnxruntime has no {wanted[0]}; it has {', '.join(present)}")
    return wanted


def _options(threads: int) -> onnxruntime.SessionOptions:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3
    # threads that spin after a run would steal the cores of the session timed next
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return options


class OnnxSession(Session):
    """An ONNX model, by its bytes or the path of its file, ready to run on ``example``."""

    def __init__(
        self,
        model: bytes | str,
        example: Example,
        threads: int,
        provider: str = "",
        options: onnxruntime.SessionOptions | None = None,
    ) -> None:
        self._session: onnxruntime.InferenceSession | None = onnxruntime.InferenceSession(
            model, options or _options(threads), providers=providers(provider)
        )
        names = [one.name for one in self._session.get_inputs()]
        self._feed = dict(zip(names, inputs_of(example)))

    def run(self) -> None:
        """Run the network once."""
        self.output()

    def output(self) -> NDArray[Any]:
        """Run the network once and return its first output."""
        assert self._session is not None, "the session is closed"
        first: NDArray[Any] = self._session.run(None, self._feed)[0]
        return first

    def close(self) -> None:
        """Free the session."""
        self._session = None


class ProfiledOnnxSession(OnnxSession, ProfiledSession):
    """A session that ONNX Runtime profiles node by node; nodes are named ``netadapt_opN``."""

    def __init__(
        self,
        model: bytes | str,
        example: Example,
        threads: int,
        provider: str = "",
        *,
        operations: int,
    ) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="netadapt-profile-")
        options = _options(threads)
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(self._folder.name) / "run")
        self._operations = operations
        super().__init__(model, example, threads, provider, options)

    def operation_us(self) -> NDArray[np.float64]:
        """Close the session and return ``(runs, operations)`` microseconds."""
        assert self._session is not None, "the session is closed"
        path = self._session.end_profiling()
        events = json.loads(Path(path).read_text(encoding="utf-8"))
        self.close()
        runs: list[NDArray[np.float64]] = []
        waiting = 0.0
        last: int | None = None
        current = np.zeros(self._operations)
        for event in events:
            if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
                operation = operation_of(event["name"])
                duration = float(event["dur"])
                if operation is not None:
                    current[operation] += duration + waiting
                    waiting, last = 0.0, operation
                elif event["args"].get("op_name") == "ReorderInput" or last is None:
                    waiting += duration  # a change of layout is paid for by the next reader
                else:
                    current[last] += duration
            elif event.get("name") == "model_run":
                runs.append(current)
                current, waiting, last = np.zeros(self._operations), 0.0, None
        return np.stack(runs)

    def close(self) -> None:
        """Free the session and remove its profile."""
        super().close()
        self._folder.cleanup()
