"""From summed operations to whole networks: fitted to some, applied to all."""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from netadapt.latency.fusion import FixedCost
from netadapt.latency.target import Calibration

CREDIBLE_SCALE = 3.0  # whole networks against the sum of their operations


def calibrated_ms(
    calibration: Calibration, total_us: NDArray[np.float64], workloads: int
) -> NDArray[np.float64]:
    """Turn summed microseconds of ``workloads`` into the latency of whole networks in ms."""
    fixed = calibration.call_us + calibration.workload_us * workloads
    return (fixed + calibration.scale * total_us) / 1000


def fit_calibration(
    summed_us: NDArray[np.float64],
    measured_ms: NDArray[np.float64],
    fixed_cost: FixedCost,
    workloads: int,
    block: int,
    cheapest_us: float = 0.0,
) -> Calibration:
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
        block: kept in the calibration.
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
    return Calibration(
        scale=float(scale),
        call_us=float(fixed) if a_call else 0.0,
        workload_us=0.0 if a_call else float(fixed) / workloads,
        networks=len(summed_us),
        channel_block=block,
    )
