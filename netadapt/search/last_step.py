"""The last step of a walk: how far to go so that the clock finds the budget just met."""

import math
import statistics
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from netadapt.pruning import Widths

NEAR = 0.02  # how far under the budget the walk may end
SURE = 0.004  # how far inside these limits a network should be, as the clock is off by as much
CLEAR = 0.01  # how far from a limit all of two readings must be to do without more
BEFORE = 0.05  # how far above the budget all candidates are timed before training
TRIES = 8
FINEST = 5e-4  # of the load, between two targets

Propose = Callable[[float], Mapping[str, Widths]]
Loads = NDArray[np.float64]  # (readings, networks)
Measure = Callable[[Sequence[Widths], Callable[[Loads], bool]], Sequence[float]]


def may_overshoot(current: float, target: float) -> bool:
    """Whether a step from load ``current`` to ``target`` may end below the budget.

    So it may where the budget is near, and where a step twice as large would reach it.
    """
    return target < 1 + BEFORE or 2 * target - current < 1


def settled(loads: Loads, last: bool) -> bool:
    """Whether a few readings leave no doubt on which side of the limits all networks lie.

    What lies within the limits of the ``last`` step is read in full: it may be the answer.
    """
    if len(loads) < 2:
        return False
    above = (1 - SURE if last else 1 - NEAR + SURE) + CLEAR
    return bool((loads < 1 - NEAR + SURE - CLEAR).all() or (loads > above).all())


@dataclass
class LastStep:
    """Bisects the target until the proposals, by the clock, lie just within the budget.

    Attributes:
        propose: a load to its proposals, by table look-ups alone.
        loads: the loads of networks, by the clock, which asks whether a few readings are enough.
    """

    propose: Propose
    loads: Measure
    _known: dict[Hashable, float] = field(default_factory=dict)

    def take(self, target: float, current: float) -> dict[str, Widths]:
        """Return the proposals, from the first target and the load of the current network.

        They lie within 2 % under the budget if channel steps allow it; else just under it; else,
        if the clock finds none within it, just above: the walk goes on from there. If ``target``
        is above the budget they only must not lie more than 2 % under it.
        """
        best: dict[str, Widths] = {}
        low, high = 0.0, current  # too low a target, too high a one
        aim = target
        last = target <= 1
        for _ in range(TRIES):
            proposed = self.propose(aim)
            middle = self._middle(proposed, last)
            for name, widths in proposed.items():
                if name not in best or self._rank(widths) < self._rank(best[name]):
                    best[name] = widths
            within = 1 - SURE if last else math.inf
            if middle is not None and 1 - NEAR + SURE <= middle <= within:
                break
            if middle is not None and middle > 1 - SURE:
                high = min(high, aim)
            else:
                low = max(low, aim)
            guess = (low + high) / 2 if middle is None else aim * (1 - NEAR / 2) / middle
            aim = guess if low < guess < high else (low + high) / 2
            if high - low < FINEST:
                break
        return self._nearest(best, last)

    def _middle(self, proposed: Mapping[str, Widths], last: bool) -> float | None:
        """The median load of ``proposed``; those that are new are timed."""
        new = {_key(widths): widths for widths in proposed.values()}
        new = {key: widths for key, widths in new.items() if key not in self._known}
        if new:
            loads = self.loads(list(new.values()), lambda readings: settled(readings, last))
            self._known |= dict(zip(new, loads, strict=True))
        if not proposed:
            return None
        return statistics.median(self._load(widths) for widths in proposed.values())

    def _load(self, widths: Widths) -> float:
        return self._known[_key(widths)]

    def _rank(self, widths: Widths) -> tuple[bool, float]:
        """What is within the budget comes first; then what is nearest to the middle aimed at."""
        load = self._load(widths)
        return load > 1, abs(1 - NEAR / 2 - load)

    def _nearest(self, best: Mapping[str, Widths], last: bool) -> dict[str, Widths]:
        """Leave out what lies too far under the budget, and what is above where others are not."""
        loads = {name: self._load(widths) for name, widths in best.items()}
        near = {n for n, load in loads.items() if load >= 1 - NEAR and (load <= 1 or not last)}
        if not near:
            below = [load for load in loads.values() if load <= 1]
            least = max(below) - FINEST if below else 0.0
            near = {n for n, load in loads.items() if load >= least and (load <= 1 or not below)}
        return {name: widths for name, widths in best.items() if name in near}


def _key(widths: Widths) -> Hashable:
    return tuple(sorted(widths.items()))
