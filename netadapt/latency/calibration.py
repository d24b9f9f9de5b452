"""From summed operations to whole networks: fitted to some, applied to all."""

from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from netadapt.latency.channel_steps import ChannelSteps
from netadapt.latency.energy import EnergyCalibration
from netadapt.latency.fusion import FixedCost

CACHES_MB = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0)  # 0: none
PAYS = 0.9  # of the error without a cache
FOLDS = 4
CREDIBLE_SCALE = 3.0  # whole networks against the sum of their operations
SIZES = r"[1-9][0-9]{0,6}(x[1-9][0-9]{0,6}){0,9}"
NAMED = rf"[A-Za-z0-9_.]{{1,200}}={SIZES}(:[a-z0-9]{{1,20}})?"
LONGEST_US = 1e9  # no cost of a network is larger
MOST_CHUNKS = 10_000

Name = Annotated[str, Field(max_length=500)]
Block = Annotated[int, Field(ge=1, le=1024)]


class NetworkCalibration(BaseModel):
    """How a sum of workloads becomes the latency of one whole network.

    ``network_ms = (call_us + workload_us * workloads + scale * sum of workloads - saved) / 1000``.

    Workloads are timed in networks of all sizes, mostly large ones, whose weights come from memory
    at every run. The weights of a small network stay in the processor's cache:
    ``saved = cached_us_per_mb * weights * clip(2 - (weights + inputs) / cache_mb, 0, 1)``, with
    the MB that the network's workloads read.

    Attributes:
        model: the network's name; empty where a table does not say.
        input: the shape of its input, ``1x3x224x224``, or ``left=1x3x64x64,right=1x3x64x64``; empty
            likewise.
        scale: whole networks against the sum of their operations.
        call_us: cost of a run beyond its operations.
        workload_us: cost of a workload beyond its operations; negative where the profiler
            lengthened every workload.
        cached_us_per_mb: saved for each MB of weights that stays in the cache.
        cache_mb: the MB that a network may read in a run and still find its weights there; 0: no
            such effect was seen.
        networks: how many were timed whole.
        slowdowns: for each chunk of the profile, how long the base network took, divided by what
            it took at the profile's start; the chunk's times were divided by it.
        channel_blocks: for each kind of workload (``conv2d 1x1``), how many channels the target
            computes at a time: any channel count costs what the next multiple costs. The kind
            ``""`` stands for all that are not named; kinds of which nothing is said have 1.
        channel_vectors: for each kind of workload, of how many channels a count must be a multiple
            so as not to cost extra for the rest, see ``ChannelSteps``.
        energy: what a run takes of energy, where the machine has a counter.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: Name = ""
    input: Annotated[str, Field(max_length=4000, pattern=rf"^({SIZES}|{NAMED}(,{NAMED})*)?$")] = ""
    scale: Annotated[float, Field(gt=0, lt=10)]
    call_us: Annotated[float, Field(ge=0, le=LONGEST_US)]
    workload_us: Annotated[float, Field(ge=-LONGEST_US, le=LONGEST_US)]
    cached_us_per_mb: Annotated[float, Field(ge=0, le=LONGEST_US)] = 0.0
    cache_mb: Annotated[float, Field(ge=0, le=1e6)] = 0.0
    networks: Annotated[int, Field(ge=1, le=1_000_000)]
    slowdowns: Annotated[
        tuple[Annotated[float, Field(gt=0, le=1e6)], ...], Field(max_length=MOST_CHUNKS)
    ] = ()
    channel_blocks: Annotated[dict[Name, Block], Field(max_length=1000)] = Field(
        default_factory=dict
    )
    channel_vectors: Annotated[dict[Name, Block], Field(max_length=1000)] = Field(
        default_factory=dict
    )
    energy: EnergyCalibration | None = None

    @model_validator(mode="before")
    @classmethod
    def _one_block_for_all(cls, data: Any) -> Any:
        """Read a calibration from before blocks were found kind by kind."""
        if isinstance(data, dict) and "channel_block" in data:
            data = dict(data)
            data.setdefault("channel_blocks", {"": data.pop("channel_block")})
        return data

    @property
    def channel_steps(self) -> ChannelSteps:
        """How each kind of workload takes its channels."""
        return ChannelSteps(self.channel_blocks, self.channel_vectors)

    @property
    def image_size(self) -> tuple[int, int] | None:
        """``(height, width)`` of the input, or ``None`` if it is no image."""
        sizes = self.input.split("x")
        return (int(sizes[-2]), int(sizes[-1])) if len(sizes) == 4 else None

    @property
    def inputs(self) -> tuple[str, ...]:
        """The input as ``--input`` options, where it is several."""
        return tuple(self.input.split(",")) if "=" in self.input else ()

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


@dataclass(frozen=True)
class NetworkSums:
    """What N networks' workloads add up to.

    Attributes:
        us: ``(N,)`` microseconds, from the table.
        weights_mb: ``(N,)`` MB of weights.
        read_mb: ``(N,)`` MB of weights and inputs.
        workloads: of each network.
    """

    us: NDArray[np.float64]
    weights_mb: NDArray[np.float64]
    read_mb: NDArray[np.float64]
    workloads: int

    def cached_mb(self, cache_mb: float) -> NDArray[np.float64]:
        """The MB of weights that stay in a cache, see ``NetworkCalibration``."""
        if not cache_mb:
            return np.zeros_like(self.us)
        share: NDArray[np.float64] = np.clip(2 - self.read_mb / cache_mb, 0, 1)
        return self.weights_mb * share

    def part(self, chosen: NDArray[np.int64]) -> "NetworkSums":
        """Those of some of the networks."""
        fields = self.us[chosen], self.weights_mb[chosen], self.read_mb[chosen]
        return NetworkSums(*fields, self.workloads)


def calibrated_ms(calibration: NetworkCalibration, sums: NetworkSums) -> NDArray[np.float64]:
    """Return the ``(N,)`` latencies of whole networks in ms."""
    fixed = calibration.call_us + calibration.workload_us * sums.workloads
    saved = calibration.cached_us_per_mb * sums.cached_mb(calibration.cache_mb)
    return (fixed + calibration.scale * sums.us - saved) / 1000


@dataclass(frozen=True)
class CalibrationFit:
    """How whole networks are fitted.

    Attributes:
        fixed_cost: what a positive fixed cost is one of.
        lengthened_us: by how much the profiler can have lengthened a network's workloads at most.
        steps: see ``NetworkCalibration``.
    """

    fixed_cost: FixedCost
    lengthened_us: float = 0.0
    steps: ChannelSteps = field(default_factory=ChannelSteps)

    def __call__(self, sums: NetworkSums, measured_ms: NDArray[np.float64]) -> NetworkCalibration:
        """Fit scale, fixed cost and what a cache saves to whole networks, by relative error.

        The profiler adds overhead to every workload. Where that is more than what a network costs
        beyond its workloads, the fixed cost is negative, and one for each workload.

        The effect of a cache is taken up only if it predicts networks left out of the fit better.

        Where the networks hardly differ, or the clock hardly tells them apart, their slope says
        nothing. The runtime's own times are then taken as they are, and what is left as fixed.
        """
        errors = {size: self._left_out_error(sums, measured_ms, size) for size in CACHES_MB}
        best = min(errors, key=lambda size: errors[size])
        return self._fitted(sums, measured_ms, best if errors[best] < PAYS * errors[0.0] else 0.0)

    def _left_out_error(
        self, sums: NetworkSums, measured_ms: NDArray[np.float64], cache_mb: float
    ) -> float:
        if len(measured_ms) < 2 * FOLDS:
            return 0.0
        fold = np.arange(len(measured_ms)) % FOLDS
        total = 0.0
        for left_out in range(FOLDS):
            known, out = np.flatnonzero(fold != left_out), np.flatnonzero(fold == left_out)
            found = self._fitted(sums.part(known), measured_ms[known], cache_mb)
            total += np.abs(calibrated_ms(found, sums.part(out)) / measured_ms[out] - 1).sum()
        return total

    def _fitted(
        self, sums: NetworkSums, measured_ms: NDArray[np.float64], cache_mb: float
    ) -> NetworkCalibration:
        from scipy.optimize import nnls  # imported where it is needed, as it takes long

        measured_us = measured_ms * 1000
        one = np.ones_like(measured_us)
        columns = [sums.us - self.lengthened_us, one]
        if cache_mb:
            columns.append(-sums.cached_mb(cache_mb))
        (scale, rest, *saved), _ = nnls(np.stack(columns, axis=1) / measured_us[:, None], one)
        fixed = rest - scale * self.lengthened_us
        if not 1 / CREDIBLE_SCALE <= scale <= CREDIBLE_SCALE:
            times, saved, cache_mb = sums.us / measured_us, [], 0.0
            (fixed,), _ = nnls((one / measured_us)[:, None], one - times)
            (scale,), _ = ((1.0,), 0.0) if fixed else nnls(times[:, None], one)
        a_call = self.fixed_cost == "call" and fixed > 0
        return NetworkCalibration(
            scale=float(scale),
            call_us=float(fixed) if a_call else 0.0,
            workload_us=0.0 if a_call else float(fixed) / sums.workloads,
            cached_us_per_mb=float(sum(saved)),
            cache_mb=cache_mb if any(saved) else 0.0,
            networks=len(measured_ms),
            channel_blocks=dict(self.steps.blocks),
            channel_vectors=dict(self.steps.vectors),
        )
