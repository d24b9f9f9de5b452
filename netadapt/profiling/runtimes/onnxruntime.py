"""ONNX Runtime, by default on the CPU."""

from torch import nn

from netadapt.deployment.rewrites import in_float16
from netadapt.errors import UserError
from netadapt.latency.target import Options, Target
from netadapt.profiling.agent import onnxruntime as agent
from netadapt.profiling.onnx_model import OnnxTemplate
from netadapt.profiling.runtimes.base import Loader, ProfiledSession, Runtime, Session
from netadapt.profiling.traced import TracedNetwork
from netadapt.pruning.examples import Example, arrays


class OnnxRuntime(Runtime):
    """ONNX Runtime with all graph optimisations, on one of its execution providers."""

    name = "onnxruntime"

    def version(self) -> str:
        """The installed version."""
        return agent.version()

    def on_cuda(self, options: Options) -> bool:
        """Whether the provider is CUDA or TensorRT."""
        return options.provider in ("cuda", "tensorrt")

    def file_session(self, path: str, example_input: Example, target: Target) -> Session:
        """Load the ONNX file at ``path``."""
        example = arrays(example_input)
        return agent.OnnxSession(path, example, target.threads, target.provider)

    def loader(self, network: TracedNetwork, target: Target) -> Loader:
        """Export ``network`` to ONNX once; networks pruned from it reuse the graph.

        Raises:
            UserError: the network cannot be exported, or the wheel lacks the provider.
        """
        try:
            agent.providers(target.provider)
        except ValueError as error:
            raise UserError(f"--provider {target.provider}: {error}") from None
        last = target.fusion_rules.upsampling_last
        template = OnnxTemplate(network, target.precision, upsampling_last=last)
        return _OnnxLoader(template, target)


class _OnnxLoader(Loader):
    def __init__(self, template: OnnxTemplate, target: Target) -> None:
        self._template = template
        self._threads = target.threads
        self._provider = target.provider
        self._halved = target.precision == "fp16"

    def session(self, model: nn.Module) -> Session:
        proto = self._bytes(model)
        return agent.OnnxSession(proto, self._template.example, self._threads, self._provider)

    def _bytes(self, model: nn.Module) -> bytes:
        proto = self._template.filled(model)
        if self._halved:  # unlike OpenVINO, it does not round a float32 graph itself
            proto = in_float16(proto)
        data: bytes = proto.SerializeToString()
        return data

    def profiled_session(self, model: nn.Module) -> ProfiledSession:
        return agent.ProfiledOnnxSession(
            self._bytes(model),
            self._template.example,
            self._threads,
            self._provider,
            operations=self._template.operation_count,
        )
