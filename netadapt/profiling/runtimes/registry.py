"""The runtimes by name; each is imported when it is used."""

import importlib
from typing import TYPE_CHECKING

from netadapt.errors import UserError

if TYPE_CHECKING:
    from netadapt.profiling.runtimes.base import Runtime

RUNTIMES = {
    "onnxruntime": "netadapt.profiling.runtimes.onnxruntime:OnnxRuntime",
    "torch": "netadapt.profiling.runtimes.torch:TorchRuntime",
    "torch-compile": "netadapt.profiling.runtimes.torch_compile:TorchCompileRuntime",
    "openvino": "netadapt.profiling.runtimes.openvino:OpenVinoRuntime",
    "executorch": "netadapt.profiling.runtimes.executorch:ExecuTorchRuntime",
    "tvm": "netadapt.profiling.runtimes.tvm:TvmRuntime",
    "tensorrt": "netadapt.profiling.runtimes.tensorrt:TensorRtRuntime",
}
BUNDLE_ONLY = {"tensorrt"}  # never run by this process
EXTRAS = {"openvino", "executorch", "tvm"}  # pip install netadapt[...]; the others come with it


def load_runtime(name: str) -> "Runtime":
    """Return the runtime called ``name``.

    Raises:
        UserError: there is no runtime of that name, or it is not installed.
    """
    if name not in RUNTIMES:
        raise UserError(f"unknown runtime {name!r}; known: {', '.join(RUNTIMES)}")
    module, _, attribute = RUNTIMES[name].partition(":")
    try:
        runtime: Runtime = getattr(importlib.import_module(module), attribute)()
    except ModuleNotFoundError as error:
        if (error.name or "netadapt").startswith("netadapt"):
            raise
        package = f"'netadapt[{name}]'" if name in EXTRAS else error.name
        raise UserError(
            f"runtime {name} needs the package {error.name}; run: pip install {package}"
        ) from error
    return runtime
