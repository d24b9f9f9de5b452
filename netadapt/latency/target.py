"""What a network is optimised for: device, runtime, version, threads, precision, batch."""

import datetime
import re
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Text = Annotated[str, Field(max_length=500)]


class Calibration(BaseModel):
    """How a sum of workloads becomes the latency of a whole network.

    ``network_ms = (call_us + workload_us * workloads + scale * sum of workloads) / 1000``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    scale: Annotated[float, Field(gt=0, lt=10)]
    call_us: Annotated[float, Field(ge=0)]
    workload_us: Annotated[float, Field(ge=0)]
    networks: Annotated[int, Field(ge=1)]


class Target(BaseModel):
    """One target, as ``target.json`` stores it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    device: Text = "cpu"
    hardware: Text = "unknown"
    system: Text = "unknown"
    runtime: Text = "onnxruntime"
    runtime_version: Text = "unknown"
    threads: Annotated[int, Field(ge=1, le=4096)] = 1
    precision: Literal["fp32"] = "fp32"
    batch: Annotated[int, Field(ge=1, le=4096)] = 1
    clock: dict[str, str] = Field(default_factory=dict)
    date: Text = Field(default_factory=lambda: datetime.date.today().isoformat())
    protocol: dict[str, str | int | float] = Field(default_factory=dict)
    calibration: Calibration | None = None

    @property
    def slug(self) -> str:
        """The name of the target's folder under ``lut/``."""
        parts = [
            self.hardware,
            f"{self.device}" if self.device != "cpu" else "",
            self.runtime,
            self.runtime_version,
            f"{self.threads}t",
            self.precision,
            f"b{self.batch}",
        ]
        words = (re.sub(r"[^a-z0-9.]+", "-", part.lower()).strip("-") for part in parts)
        return "-".join(word for word in words if word)

    def difference(self, other: "Target") -> str | None:
        """Name what makes the two different targets, or return ``None``."""
        for field in (
            "device", "hardware", "runtime", "runtime_version", "threads", "precision", "batch",
        ):  # fmt: skip
            mine, theirs = getattr(self, field), getattr(other, field)
            if mine != theirs:
                return f"{field} {theirs} instead of {mine}"
        return None
