"""The precision of a training: float32, or bfloat16 where that is as accurate and faster."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from netadapt.errors import UserError
from netadapt.training.settings import Precision

CPU_FLAGS = ("avx512_bf16", "amx_bf16", "bf16")  # of /proc/cpuinfo; the last is ARM's


def training_precision(asked: Precision | None, device: torch.device) -> Precision:
    """Return the precision asked for; by default bf16 on CUDA and fp32 on CPUs.

    Raises:
        UserError: bf16 on a CPU without instructions for it, where it is several times slower.
    """
    if asked is None:
        return "bf16" if device.type == "cuda" else "fp32"
    if asked == "bf16" and device.type == "cpu" and not cpu_has_bf16():
        raise UserError(
            "precision bf16 needs a CPU with AVX512_BF16 or AMX, which this one lacks; leave out "
            "--precision"
        )
    return asked


def cpu_has_bf16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether this CPU multiplies bfloat16 in hardware."""
    try:
        lines = cpuinfo.read_text(errors="replace").splitlines()
    except OSError:
        return False
    flags = next((line for line in lines if line.lower().startswith(("flags", "features"))), "")
    return any(flag in flags.split() for flag in CPU_FLAGS)


def autocast(precision: Precision, device: torch.device) -> AbstractContextManager[object]:
    """Return a context in which ``device`` computes in ``precision``."""
    return torch.autocast(device.type, torch.bfloat16, enabled=precision == "bf16")


@contextmanager
def fastest_layers(model: nn.Module, precision: Precision, device: torch.device) -> Iterator[None]:
    """Keep the depthwise convolutions in float32 where a CPU trains in bfloat16.

    oneDNN's gradients of depthwise convolutions with stride 2 or large kernels take up to ten
    times as long in bfloat16 as in float32. Other depthwise convolutions are not faster either.
    """
    slow = [
        module
        for module in model.modules()
        if isinstance(module, nn.Conv2d) and module.groups == module.in_channels > 1
    ]
    if precision != "bf16" or device.type != "cpu":
        slow = []
    for module in slow:
        module.forward = partial(_in_float32, module.forward)  # type: ignore[method-assign]
    try:
        yield
    finally:
        for module in slow:
            del module.forward


def _in_float32(forward: Callable[[Tensor], Tensor], images: Tensor) -> Tensor:
    with torch.autocast("cpu", enabled=False):
        return forward(images.float())
