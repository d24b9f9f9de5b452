"""OpenVINO on the CPU."""

from torch import nn

from netadapt.errors import UserError
from netadapt.latency.target import Target
from netadapt.latency.workloads import fuse
from netadapt.profiling.agent import openvino as agent
from netadapt.profiling.onnx_model import OnnxTemplate
from netadapt.profiling.runtimes.base import Loader, ProfiledSession, Runtime, Session
from netadapt.profiling.traced import TracedNetwork
from netadapt.pruning import Operation
from netadapt.pruning.examples import Example, arrays

# kinds that must take time of their own. OpenVINO merges the parts of attention, and what follows a
# linear layer, in every block and at every width; their time is added to the first of them
TIMED_APART = {"conv2d", "linear", "batch_norm", "concat", "pad", "pool", "upsample"}


class OpenVinoRuntime(Runtime):
    """OpenVINO's CPU plugin, in one stream.

    It rounds float32 graphs to bf16 or fp16 itself, and executes the int8 graphs of onnxruntime.
    """

    name = "openvino"

    def version(self) -> str:
        """The installed version."""
        return agent.version()

    def file_session(self, path: str, example_input: Example, target: Target) -> Session:
        """Load the ONNX file at ``path``."""
        example = arrays(example_input)
        return agent.OpenVinoSession(path, example, target.threads, target.precision)

    def loader(self, network: TracedNetwork, target: Target) -> Loader:
        """Export ``network`` to ONNX once; networks pruned from it reuse the graph."""
        last = target.fusion_rules.upsampling_last
        template = OnnxTemplate(network, target.precision, upsampling_last=last)
        return _OpenVinoLoader(template, network.operations, target)


class _OpenVinoLoader(Loader):
    def __init__(
        self, template: OnnxTemplate, operations: tuple[Operation, ...], target: Target
    ) -> None:
        self._template = template
        self._operations = operations
        self._target = target

    def session(self, model: nn.Module) -> Session:
        return agent.OpenVinoSession(
            self._bytes(model), self._template.example, self._target.threads, self._target.precision
        )

    def profiled_session(self, model: nn.Module) -> ProfiledSession:
        session = agent.ProfiledOpenVinoSession(
            self._bytes(model),
            self._template.example,
            self._target.threads,
            self._target.precision,
            operations=len(self._operations),
        )
        self._require_all_timed(session.named_operations())
        return session

    def _bytes(self, model: nn.Module) -> bytes:
        data: bytes = self._template.filled(model).SerializeToString()
        return data

    def _require_all_timed(self, named: set[int]) -> None:
        for unit in fuse(self._operations, self._target.fusion_rules):
            main = self._operations[unit.main]
            if main.kind in TIMED_APART and named.isdisjoint(unit.members):
                raise UserError(
                    f"cannot time {main.kind} {main.module} in openvino: it merges it with an "
                    "operation that netadapt times apart; use --runtime onnxruntime"
                )
