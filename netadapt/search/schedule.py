"""The target of each iteration."""

from dataclasses import dataclass

FLOOR = 0.1  # a reduction never shrinks below this share of the first one


@dataclass(frozen=True)
class ReductionSchedule:
    """Reductions that begin at ``initial * base`` and decay from iteration to iteration.

    ``base`` and ``budget`` are costs of one unit: ms, or loads (see ``Goal``).

    Source: Yang et al., NetAdapt, ECCV 2018, section 4.1 (initial reduction 2.5 % of the
    base latency, decay 0.96 to 0.98).
    """

    base: float
    budget: float
    initial: float
    decay: float

    def next(self, current: float, iteration: int) -> float:
        """Return the target of ``iteration`` (the first is 1) from ``current``."""
        return max(self.budget, current - self.reduction(iteration))

    def reduction(self, iteration: int) -> float:
        """Return by how much ``iteration`` lowers the cost."""
        share = max(self.decay ** (iteration - 1), FLOOR)
        return self.base * self.initial * share

    def iterations(self, current: float, iteration: int) -> int:
        """Return how many more iterations, ``iteration`` the next, the budget is away."""
        count = 0
        while current > self.budget and count < 100_000:
            current = self.next(current, iteration + count)
            count += 1
        return count
