"""From summed operations to whole networks: fitted to some, applied to all."""

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator
from scipy.optimize import nnls

from netadapt.latency.fusion import FixedCost

CREDIBLE_SCALE = 3.0  # whole networks against the sum of their operations
LONGEST_US = 1e9  # no cost of a network is larger

Name = Annotated[str, Field(max_length=500)]
Block = Annotated[int, Field(ge=1, le=1024)]


class NetworkCalibration(BaseModel):
    """How a sum of workloads becomes the latency of one whole network.

    ``network_ms = (call_us + workload_us * workloads + scale * sum of workloads) / 1000``.

    Attributes:
        model: the network's name; empty where a table does not say.
        input: the shape of its input, ``1x3x224x224``; empty likewise.
        scale: whole networks against the sum of their operations.
        call_us: cost of a run beyond its operations.
        workload_us: cost of a workload beyond its operations; negative where the profiler
            lengthened every workload.
        networks: how many were timed whole.
        channel_blocks: for each kind of workload (``conv2d 1x1``), how many channels the target
            computes at a time: any channel count costs what the next multiple costs. The kind
            ``""`` stands for all that are not named; kinds of which nothing is said have 1.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: Name = ""
    input: Annotated[str, Field(pattern=r"^([1-9][0-9]{0,6}(x[1-9][0-9]{0,6}){0,9})?$")] = ""
    scale: Annotated[float, Field(gt=0, lt=10)]
    call_us: Annotated[float, Field(ge=0, le=LONGEST_US)]
    workload_us: Annotated[float, Field(ge=-LONGEST_US, le=LONGEST_US)]
    networks: Annotated[int, Field(ge=1, le=1_000_000)]
    channel_blocks: Annotated[dict[Name, Block], Field(max_length=1000)] = Field(
        default_factory=dict
    )

    @model_validator(mode="before")
    @classmethod
    def _one_block_for_all(cls, data: Any) -> Any:
        """Read a calibration from before blocks were found kind by kind."""
        if isinstance(data, dict) and "channel_block" in data:
            data = dict(data)
            data.setdefault("channel_blocks", {"": data.pop("channel_block")})
        return data

    @property
    def image_size(self) -> tuple[int, int] | None:
        """``(height, width)`` of the input, or ``None`` if it is no image."""
        sizes = self.input.split("x")
        return (int(sizes[-2]), int(sizes[-1])) if len(sizes) == 4 else None

    def names(self) -> dict[str, str]:
        """The ``model`` and the ``input``."""
        return {"model": self.model, "input": self.input}

    @property
    def subject(self) -> str:
        """The network and its input in words."""
        return subject_in_words(self.model, self.input)


def subject_in_words(model: str, input: str) -> str:
    """Name a network and the shape of its input."""
    if not model:
        return "an unknown network"
    return f"{model} at {input}" if input else model


def calibrated_ms(
    calibration: NetworkCalibration, total_us: NDArray[np.float64], workloads: int
) -> NDArray[np.float64]:
    """Turn summed microseconds of ``workloads`` into the latency of whole networks in ms."""
    fixed = calibration.call_us + calibration.workload_us * workloads
    return (fixed + calibration.scale * total_us) / 1000


def fit_calibration(
    summed_us: NDArray[np.float64],
    measured_ms: NDArray[np.float64],
    fixed_cost: FixedCost,
    workloads: int,
    blocks: Mapping[str, int],
    cheapest_us: float = 0.0,
) -> NetworkCalibration:
    """Fit scale and fixed cost to whole networks, by relative error.

    Being profiled lengthens every operation. Where that is more than what a network costs beyond
    its operations, the fixed cost is negative, and one a workload; none can have been lengthened
    by more than ``cheapest_us``, what the cheapest one took.

    Where the networks hardly differ, or the clock hardly tells them apart, their slope says
    nothing. The runtime's own times are then taken as they are, and what is left as fixed.

    Args:
        summed_us: ``(N,)`` sums of the operations' times.
        measured_ms: ``(N,)`` what the networks took.
        fixed_cost: what a positive fixed cost is one of.
        workloads: of each network.
        blocks: see ``NetworkCalibration``.
        cheapest_us: the shortest time of a workload.
    """
    measured_us = measured_ms * 1000
    one = np.ones_like(measured_us)
    lengthened_us = cheapest_us * workloads  # at most
    system = np.stack([summed_us - lengthened_us, one], axis=1) / measured_us[:, None]
    (scale, rest), _ = nnls(system, one)
    fixed = rest - scale * lengthened_us
    if not 1 / CREDIBLE_SCALE <= scale <= CREDIBLE_SCALE:
        times = summed_us[:, None] / measured_us[:, None]
        (fixed,), _ = nnls(system[:, 1:], one - times[:, 0])
        (scale,), _ = ((1.0,), 0.0) if fixed else nnls(times, one)
    a_call = fixed_cost == "call" and fixed > 0
    return NetworkCalibration(
        scale=float(scale),
        call_us=float(fixed) if a_call else 0.0,
        workload_us=0.0 if a_call else float(fixed) / workloads,
        networks=len(summed_us),
        channel_blocks=dict(blocks),
    )
