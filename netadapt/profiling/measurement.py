"""Measures the latency of whole networks on a target."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import nn

from netadapt.errors import UserError
from netadapt.latency.target import Options, Target
from netadapt.profiling.devices import load_device
from netadapt.profiling.runtimes import load_runtime
from netadapt.pruning import PrunableModel
from netadapt.pruning.examples import Example, batch_of


@dataclass(frozen=True)
class LatencyStats:
    """Quantiles of a network's latency in ms, and how many runs they rest on.

    ``energy_mj`` is the median of the millijoules per run, ``None`` if there is no counter.
    """

    p10_ms: float
    p50_ms: float
    p90_ms: float
    runs: int
    energy_mj: float | None = None

    @classmethod
    def of(
        cls, seconds: NDArray[np.float64], energy_mj: NDArray[np.float64] | None = None
    ) -> "LatencyStats":
        """Summarise ``(runs,)`` durations and the energy per run of each visit."""
        p10, p50, p90 = np.quantile(seconds * 1000, (0.1, 0.5, 0.9))
        energy = None if energy_mj is None else float(np.median(energy_mj))
        return cls(float(p10), float(p50), float(p90), len(seconds), energy)


def measure(
    model: nn.Module, example_input: Example, target: Target, *, runs: int = 60
) -> LatencyStats:
    """Measure ``model`` on ``target``.

    Args:
        model: any network; timed in eval mode.
        example_input: ``(N, C, H, W)``, N the target's batch; or several, as ``trace`` takes them.
        target: device, runtime, threads; it must be the machine at hand.
        runs: timed runs, after a warm-up.

    Raises:
        UserError: the target is another device or runtime version, or the batch differs.
    """
    return measure_all([model], example_input, target, runs=runs)[0]


def measure_all(
    models: Sequence[nn.Module],
    example_input: Example,
    target: Target,
    *,
    runs: int = 60,
    traced: PrunableModel | None = None,
) -> list[LatencyStats]:
    """Measure several networks in interleaved rounds; otherwise as ``measure``.

    Args:
        models: the networks.
        example_input: as for ``measure``.
        target: as for ``measure``.
        runs: timed runs of each.
        traced: the network that all of them were pruned from, if so: it is exported once.
    """
    require_attached(target)
    if batch_of(example_input) != target.batch:
        raise UserError(
            f"the example input has batch {batch_of(example_input)}; the target {target.batch}"
        )
    timing = load_device(target.device).time(models, example_input, target, runs, traced)
    energy = timing.energy_mj
    return [
        LatencyStats.of(seconds.ravel(), None if energy is None else energy[place])
        for place, seconds in enumerate(timing.seconds)
    ]


def why_not_attached(target: Target) -> str | None:
    """Return why ``target`` is not this machine as it is now; ``None`` if it is."""
    try:
        chosen = Options(**{name: getattr(target, name) for name in Options.model_fields})
        here = load_device(target.device).target(load_runtime(target.runtime), chosen)
    except UserError as error:
        return str(error)
    difference = target.difference(here)
    return difference and f"this machine has {difference}"


def require_attached(target: Target) -> None:
    """Raise a ``UserError`` if ``target`` is not this machine as it is now."""
    reason = why_not_attached(target)
    if reason:
        raise UserError(f"the target {target.slug} is not attached: {reason}")
