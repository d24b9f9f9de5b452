"""This machine's own processor."""

import os
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from netadapt.errors import UserError
from netadapt.latency.target import Target

if TYPE_CHECKING:
    from netadapt.latency.runtimes.base import Runtime


class CpuDevice:
    """The CPU that netadapt itself runs on."""

    name = "cpu"

    def target(
        self,
        runtime: "Runtime",
        threads: int = 1,
        precision: Literal["fp32"] = "fp32",
        batch: int = 1,
    ) -> Target:
        """Describe this CPU with ``runtime`` as a target.

        Raises:
            UserError: more threads than the process may use, or an unknown precision.
        """
        available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
        available = available or os.cpu_count() or 1
        if not 1 <= threads <= available:
            raise UserError(f"cannot use {threads} threads: this machine has {available} cores")
        if precision != "fp32":
            raise UserError(f"unknown precision {precision!r} on cpu; known: fp32")
        return Target(
            device=self.name,
            hardware=_model_name(),
            system=f"{platform.system()} {platform.machine()}",
            runtime=runtime.name,
            runtime_version=runtime.version(),
            threads=threads,
            precision=precision,
            batch=batch,
            clock=_clock(),
        )


def _model_name() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        fields = dict(
            line.split(":", 1)
            for line in info.read_text(errors="replace").splitlines()
            if ":" in line
        )
        for key, value in fields.items():
            if key.strip() in ("model name", "Model", "Hardware"):
                return str(value.strip())
    return platform.processor() or platform.machine()


def _clock() -> dict[str, str]:
    """Governor and frequency limits in kHz, where the system lets them be read."""
    folder = Path("/sys/devices/system/cpu/cpu0/cpufreq")
    clock = {}
    for name in ("scaling_governor", "scaling_min_freq", "scaling_max_freq"):
        file = folder / name
        if file.is_file():
            try:
                clock[name] = file.read_text().strip()
            except OSError:
                continue
    return clock
