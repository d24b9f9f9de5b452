"""An NVIDIA GPU of this machine."""

from collections.abc import Callable

import torch

from netadapt.errors import UserError
from netadapt.latency.fusion import rules_of
from netadapt.latency.target import Options, Target
from netadapt.profiling.agent import host
from netadapt.profiling.devices.local import LocalDevice
from netadapt.profiling.runtimes.base import Runtime


class CudaDevice(LocalDevice):
    """GPU ``index`` as CUDA numbers them.

    Raises:
        UserError: PyTorch sees no such GPU.
    """

    def __init__(self, index: int) -> None:
        super().__init__()
        count = torch.cuda.device_count()
        if index >= count:
            seen = f"{count} GPU{'s' if count > 1 else ''}" if count else "no GPU"
            raise UserError(f"cannot use cuda:{index}: PyTorch {torch.__version__} sees {seen}")
        self._index = index

    def target(self, runtime: Runtime, options: Options | None = None) -> Target:
        """Describe this GPU with ``runtime`` as a target.

        Raises:
            UserError: the runtime does not run on GPUs.
        """
        options = options or Options()
        options.require_for(runtime.name)
        if not runtime.on_cuda(options):
            raise UserError(
                f"runtime {runtime.name} does not run on cuda here; "
                "use torch, torch-compile, or onnxruntime with --provider cuda"
            )
        known = ("fp32", "fp16") if runtime.name == "onnxruntime" else ("fp32", "fp16", "bf16")
        if options.precision not in known:
            raise UserError(
                f"--precision {options.precision} is not for {runtime.name} on cuda; "
                f"known: {', '.join(known)}"
            )
        return Target(
            device=f"cuda:{self._index}" if self._index else "cuda",
            hardware=torch.cuda.get_device_name(self._index),
            system=f"{host.system()}, CUDA {torch.version.cuda}",
            runtime=runtime.name,
            runtime_version=runtime.version(),
            fusion=rules_of(runtime.name, options.precision),
            **options.model_dump(),
        )

    def energy(self) -> Callable[[], float] | None:
        """A counter of the millijoules that the GPU has used, or ``None``."""
        return host.nvml_counter(self._index)
