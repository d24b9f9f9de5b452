"""What a network is optimised for: device, runtime, version, threads, precision, batch."""

import datetime
import re
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from netadapt.errors import UserError
from netadapt.latency.calibration import NetworkCalibration
from netadapt.latency.fusion import FUSIONS, Fusion
from netadapt.options import TARGET, Option, refusal, require_own

Text = Annotated[str, Field(max_length=500)]
Precision = Literal["fp32", "fp16", "bf16", "int8"]
LAST_CORE = 1 << 16
Cpus = Annotated[str, Field(max_length=200, pattern=r"^([0-9]+(-[0-9]+)?(,[0-9]+(-[0-9]+)?)*)?$")]


def cores_of(cpus: str) -> set[int] | None:
    """Read ``0,2-3`` as ``{0, 2, 3}``; empty as ``None``. Raises ``ValueError`` for all else."""
    if not cpus:
        return None
    found: set[int] = set()
    for part in cpus.split(","):
        first, _, last = part.partition("-")
        start, end = int(first), int(last or first)
        if start > end:
            raise ValueError(f"{part} counts downwards; write {end}-{start}")
        if end > LAST_CORE:
            raise ValueError(f"there is no core {end}")
        found |= set(range(start, end + 1))
    return found


def _checked_cpus(cpus: str) -> str:
    cores_of(cpus)
    return cpus


class Options(BaseModel):
    """The options of a target that a user chooses."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    threads: Annotated[
        Annotated[int, Field(ge=1, le=4096)],
        Option("Threads of the runtime.", TARGET, unit="threads"),
    ] = 1
    precision: Annotated[
        Precision,
        Option("Precision of weights and activations, where runtime and CPU have it.", TARGET),
    ] = "fp32"
    batch: Annotated[
        Annotated[int, Field(ge=1, le=4096)],
        Option("Images per run of the network.", TARGET, unit="images"),
    ] = 1
    cpus: Annotated[
        Annotated[Cpus, AfterValidator(_checked_cpus)],
        Option(
            "Cores to stay on, as 0,2-3.",
            TARGET,
            unit="cores",
            usual="wherever the system puts the threads",
        ),
    ] = ""
    provider: Annotated[
        Literal["", "cuda", "tensorrt"],
        Option(
            "Execution provider (runtime onnxruntime).",
            TARGET,
            usual="the runtime's CPU provider",
            only_for=("runtime", "onnxruntime"),
        ),
    ] = ""
    tune: Annotated[
        Annotated[int, Field(ge=0, le=1_000_000)],
        Option(
            "Trials of the runtime's auto-tuning (runtime tvm).",
            TARGET,
            unit="trials",
            only_for=("runtime", "tvm"),
        ),
    ] = 0

    @classmethod
    def parse(cls, **given: object) -> "Options":
        """Make options of the user's values. Raises ``UserError`` if they are wrong."""
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            raise UserError(refusal(error, cls)) from None

    def require_for(self, runtime: str) -> None:
        """Raise a ``UserError`` for an option that only another runtime has."""
        require_own(self.model_dump(exclude_defaults=True), Options, "runtime", runtime)

    @property
    def dtype(self) -> str:
        """The name of ``precision`` in workloads."""
        return {"fp32": "float32", "fp16": "float16", "bf16": "bfloat16", "int8": "int8"}[
            self.precision
        ]

    def cores(self) -> set[int] | None:
        """The cores to stay on, or ``None``."""
        return cores_of(self.cpus)

    def check(self, available: set[int]) -> None:
        """Raise a ``UserError`` for threads or cores that a machine with ``available`` lacks."""
        chosen = self.cores()
        absent = sorted((chosen or set()) - available)
        if absent:
            raise UserError(f"cannot use core {absent[0]}: this machine has {len(available)} cores")
        if self.threads > len(available):
            raise UserError(
                f"cannot use {self.threads} threads: this machine has {len(available)} cores"
            )
        if chosen and self.threads > len(chosen):
            raise UserError(f"cannot keep {self.threads} threads on {len(chosen)} cores")


class Target(Options):
    """One target, as ``target.json`` stores it.

    ``latency_crc32`` is the checksum of the first ``latency_bytes`` of the table's rows; tables
    older than it have none. ``fusion`` records the runtime's rules at the time; older tables have
    none, and are read by the runtime's present ones, upsampling where the network does.
    ``calibrations`` has one for each network
    profiled, the last one last.
    """

    format: Literal[1] = 1
    device: Text = "cpu"
    hardware: Text = "unknown"
    system: Text = "unknown"
    runtime: Text = "onnxruntime"
    runtime_version: Text = "unknown"
    clock: dict[str, str] = Field(default_factory=dict)
    date: Text = Field(default_factory=lambda: datetime.date.today().isoformat())
    protocol: dict[str, str | int | float] = Field(default_factory=dict)
    calibrations: Annotated[tuple[NetworkCalibration, ...], Field(max_length=1000)] = ()
    fusion: Fusion | None = None
    latency_bytes: Annotated[int, Field(ge=0)] | None = None
    latency_crc32: Annotated[int, Field(ge=0, lt=2**32)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _one_calibration_for_all(cls, data: Any) -> Any:
        """Read a target from before there was a calibration for each network."""
        if isinstance(data, dict) and "calibration" in data and "calibrations" not in data:
            data = dict(data)
            only = data.pop("calibration")
            protocol = data.get("protocol")
            if isinstance(only, dict) and isinstance(protocol, dict):
                known = {name: str(protocol.get(name, "")) for name in ("model", "input")}
                only = {**known, **only}
            data["calibrations"] = () if only is None else (only,)
        return data

    def calibration_of(self, model: str, input: str) -> NetworkCalibration | None:
        """Return the calibration of a network, or else the nearest there is, or ``None``.

        Nearest is, of several, the one profiled last: first of all of the same model and input
        shape, then of the same model, then of the same input shape, then any.
        """
        return max(
            reversed(self.calibrations),
            key=lambda one: (one.model == model) * 2 + (one.input == input),
            default=None,
        )

    def calibrated(self, calibration: NetworkCalibration) -> "Target":
        """Return the target with ``calibration`` last, in the place of one of the same network."""
        network = (calibration.model, calibration.input)
        others = [one for one in self.calibrations if (one.model, one.input) != network]
        return self.model_copy(update={"calibrations": (*others, calibration)})

    @property
    def fusion_rules(self) -> Fusion:
        """The fusion rules recorded, or else those of the runtime.

        Raises:
            UserError: it records none, and its runtime is not one of ours.
        """
        if self.fusion is not None:
            return self.fusion
        if self.runtime not in FUSIONS:
            raise UserError(
                f"the table of {self.slug} records no fusion rules, and runtime {self.runtime!r} "
                f"is unknown; known: {', '.join(FUSIONS)}"
            )
        return FUSIONS[self.runtime].model_copy(update={"upsampling_last": False})

    @property
    def slug(self) -> str:
        """The name of the target's folder under ``lut/``."""
        parts = [
            self.hardware,
            re.sub("^ssh://.*@", "", self.device) if self.device != "cpu" else "",
            self.runtime,
            self.provider,
            self.runtime_version,
            f"tuned{self.tune}" if self.tune else "",
            f"{self.threads}t",
            f"cpus{self.cpus}" if self.cpus else "",
            self.precision,
            f"b{self.batch}",
        ]
        words = (re.sub(r"[^a-z0-9.]+", "-", part.lower()).strip("-") for part in parts)
        return "-".join(word for word in words if word)

    def difference(self, other: "Target") -> str | None:
        """Name what makes the two different targets, or return ``None``."""
        for field in (
            "device", "hardware", "runtime", "runtime_version", *Options.model_fields,
        ):  # fmt: skip
            mine, theirs = getattr(self, field), getattr(other, field)
            if mine != theirs:
                return f"{field} {theirs} instead of {mine}"
        return None
