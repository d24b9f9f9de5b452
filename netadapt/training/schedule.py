"""Learning rates as functions of the step; a schedule has no state."""

import math
from typing import Literal

Schedule = Literal["constant", "step", "cosine", "onecycle", "polynomial"]

WARM_UP = 0.3
START_DIVISOR = 25.0
END_DIVISOR = 1e4
POLYNOMIAL_END = 0.1
POLYNOMIAL_POWER = 0.5


def learning_rate(
    schedule: Schedule, peak: float, step: int, steps: int, decay_every: int
) -> float:
    """Return the rate of step ``step`` of ``steps``, counted from 0.

    ``constant``; ``step``: a tenth every ``decay_every`` steps; ``cosine``: from ``peak`` to 0;
    ``onecycle`` (Smith, 2018, in the form of ``torch.optim.lr_scheduler.OneCycleLR``): up from
    ``peak / 25`` over 30 % of the steps and down to ``peak / 250000``; ``polynomial``
    (LapDepth): from ``peak`` to a tenth of it, in proportion to the square root of the steps left.
    """
    if schedule == "constant":
        return peak
    if schedule == "step":
        return peak * 0.1 ** (step // decay_every)
    if schedule == "cosine":
        return _between(peak, 0.0, step / steps)
    if schedule == "polynomial":
        left = math.pow(1 - step / steps, POLYNOMIAL_POWER)
        return peak * (POLYNOMIAL_END + (1 - POLYNOMIAL_END) * left)
    top = WARM_UP * steps - 1
    start = peak / START_DIVISOR
    if step <= top:
        return _between(start, peak, step / top)
    return _between(peak, start / END_DIVISOR, min(1.0, (step - top) / (steps - 1 - top)))


def _between(first: float, last: float, part: float) -> float:
    return last + (first - last) * (1 + math.cos(math.pi * part)) / 2
