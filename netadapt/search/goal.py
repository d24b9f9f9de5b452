"""What a search walks to: budgets that must all hold, or an accuracy that must not be lost."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

Kind = Literal["ms", "mj", "macs", "params", "mb"]
Limits = Mapping[Kind, float]


@dataclass(frozen=True)
class Goal:
    """Where the walk ends.

    The *load* of a network is the largest of its costs, each as a share of its limit: the budget
    violated most. All budgets hold at a load of 1; an iteration's target is a load below that of
    the network it starts from, so that the budget violated most is the one that falls.

    Attributes:
        limits: what a network of load 1 may cost, by kind.
        floor: the load to walk to; next to 0 where an accuracy alone ends the walk.
        minimum: the score on the holdout that must not be lost, in place of budgets.
        higher_is_better: whether more of the score is better.
    """

    limits: Limits
    floor: float = 1.0
    minimum: float | None = None
    higher_is_better: bool = True

    def at(self, load: float) -> dict[Kind, float]:
        """Return the limits of a network of ``load``."""
        return {kind: load * limit for kind, limit in self.limits.items()}

    def load(self, costs: Limits) -> float:
        """Return the largest cost as a share of its limit."""
        return max(costs[kind] / limit for kind, limit in self.limits.items())

    def met(self, costs: Limits) -> bool:
        """Whether ``costs`` are within all budgets; an accuracy sets none."""
        if self.minimum is not None:
            return True
        return all(costs[kind] <= limit for kind, limit in self.limits.items())

    def accurate(self, score: float | None) -> bool:
        """Whether ``score`` is not below the minimum, if there is one."""
        if self.minimum is None:
            return True
        if score is None:
            return False
        return score >= self.minimum if self.higher_is_better else score <= self.minimum

    def ended(self, costs: Limits, score: float | None) -> bool:
        """Whether a walk is over at a network: it is within budget, or less accurate than asked."""
        return self.met(costs) if self.minimum is None else not self.accurate(score)
