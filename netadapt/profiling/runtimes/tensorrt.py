"""TensorRT: a bundle measures it on the device, never this process."""

from typing import NoReturn

from netadapt.errors import UserError
from netadapt.latency.target import Options, Target
from netadapt.profiling.runtimes.base import Loader, Runtime
from netadapt.profiling.schedule import BUILT_ON_THE_DEVICE
from netadapt.profiling.traced import TracedNetwork


class TensorRtRuntime(Runtime):
    """NVIDIA TensorRT, driven by ``trtexec`` on the device. Experimental."""

    name = "tensorrt"
    schedule = BUILT_ON_THE_DEVICE

    def version(self) -> NoReturn:
        """Raise a ``UserError``: only the device knows its version."""
        raise UserError(
            "runtime tensorrt is measured on the device itself; "
            "run: netadapt profile-lut --runtime tensorrt --bundle FILE.zip"
        )

    def on_cuda(self, options: Options) -> bool:
        """It always does."""
        return True

    def loader(self, network: TracedNetwork, target: Target) -> Loader:
        """Raise a ``UserError``, as ``version`` does."""
        return self.version()
