"""Which precisions a runtime computes in on a CPU, and which instructions they need."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

PRECISIONS = {
    "onnxruntime": ("fp32", "int8"),
    "openvino": ("fp32", "bf16", "fp16", "int8"),
    "torch": ("fp32", "bf16"),
    "executorch": ("fp32", "int8"),
}
# without one of these, a runtime computes in fp32 behind the user's back, or far slower
INSTRUCTIONS = {
    "bf16": ("avx512_bf16", "amx_bf16", "bf16"),
    "fp16": ("avx512_fp16", "amx_fp16", "asimdhp"),
    "int8": ("avx512_vnni", "avx_vnni", "amx_int8", "asimddp"),
}
KNOWN = sorted({name for names in INSTRUCTIONS.values() for name in names} | {"avx2", "avx512f"})


def problem(runtime: str, precision: str, features: Collection[str]) -> str | None:
    """Say in one line why ``runtime`` cannot compute in ``precision`` here; ``None`` if it can.

    Args:
        runtime: as ``--runtime`` names it.
        precision: fp32, bf16, fp16 or int8.
        features: the CPU's, as ``/proc/cpuinfo`` names them.
    """
    known = PRECISIONS.get(runtime, ("fp32",))
    if precision not in known:
        return f"--precision {precision} is not for {runtime} on a CPU; known: {', '.join(known)}"
    needed = INSTRUCTIONS.get(precision, ())
    if needed and not set(needed) & set(features):
        present = ", ".join(name for name in KNOWN if name in features) or "none of them"
        return (
            f"--precision {precision} needs a CPU with one of {', '.join(needed)}; "
            f"this one has {present}; use --precision fp32, or another CPU"
        )
    return None
