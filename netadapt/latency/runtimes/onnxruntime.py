"""ONNX Runtime on the CPU."""

import json
import tempfile
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from torch import Tensor, nn

from netadapt.latency.onnx_model import OnnxTemplate, operation_of
from netadapt.latency.runtimes.base import Loader, ProfiledSession, Runtime, Session
from netadapt.latency.target import Target
from netadapt.latency.workloads import Fusion
from netadapt.pruning import Operation

FUSION = Fusion(
    batch_norm=True,
    activations=frozenset({"relu", "relu6", "leaky_relu", "sigmoid", "tanh", "hardsigmoid"}),
    add=True,
)


class OnnxRuntime(Runtime):
    """ONNX Runtime with its CPU execution provider and all graph optimisations."""

    name = "onnxruntime"
    fusion = FUSION
    fixed_cost = "call"

    def version(self) -> str:
        """The installed version."""
        return str(onnxruntime.__version__)

    def loader(
        self,
        model: nn.Module,
        example_input: Tensor,
        operations: tuple[Operation, ...],
        target: Target,
    ) -> Loader:
        """Export ``model`` to ONNX once; networks pruned from it reuse the graph."""
        return _OnnxLoader(OnnxTemplate(model, example_input, operations), target)


class _OnnxLoader(Loader):
    def __init__(self, template: OnnxTemplate, target: Target) -> None:
        self._template = template
        self._threads = target.threads

    def session(self, model: nn.Module) -> Session:
        return _OnnxSession(self._template, model, self._options())

    def profiled_session(self, model: nn.Module) -> ProfiledSession:
        return _ProfiledOnnxSession(self._template, model, self._options())

    def _options(self) -> onnxruntime.SessionOptions:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self._threads
        options.inter_op_num_threads = 1
        options.execution_mode = onnxruntime.ExecutionMode.ORT_SEQUENTIAL
        options.log_severity_level = 3
        # threads that spin after a run would steal the cores of the session timed next
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        return options


class _OnnxSession(Session):
    def __init__(
        self, template: OnnxTemplate, model: nn.Module, options: onnxruntime.SessionOptions
    ) -> None:
        proto = template.filled(model)
        self._session: onnxruntime.InferenceSession | None = onnxruntime.InferenceSession(
            proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        self._feed = {template.input_name: template.example}

    def run(self) -> None:
        assert self._session is not None, "the session is closed"
        self._session.run(None, self._feed)

    def close(self) -> None:
        self._session = None


class _ProfiledOnnxSession(_OnnxSession, ProfiledSession):
    def __init__(
        self, template: OnnxTemplate, model: nn.Module, options: onnxruntime.SessionOptions
    ) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="netadapt-profile-")
        options.enable_profiling = True
        options.profile_file_prefix = str(Path(self._folder.name) / "run")
        self._operations = template.operation_count
        super().__init__(template, model, options)

    def operation_us(self) -> NDArray[np.float64]:
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
        super().close()
        self._folder.cleanup()
