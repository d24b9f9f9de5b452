"""The latency target of each iteration."""

from dataclasses import dataclass

FLOOR = 0.1  # a reduction never shrinks below this share of the first one


@dataclass(frozen=True)
class Schedule:
    """Reductions that begin at ``initial * base_ms`` and decay from iteration to iteration.

    Source: Yang et al., NetAdapt, ECCV 2018, section 4.1 (initial reduction 2.5 % of the
    base latency, decay 0.96 to 0.98).
    """

    base_ms: float
    budget_ms: float
    initial: float
    decay: float

    def next(self, current_ms: float, iteration: int) -> float:
        """Return the target in ms of ``iteration`` (the first is 1) from ``current_ms``."""
        return max(self.budget_ms, current_ms - self.reduction(iteration))

    def reduction(self, iteration: int) -> float:
        """Return by how many ms ``iteration`` lowers the latency."""
        share = max(self.decay ** (iteration - 1), FLOOR)
        return self.base_ms * self.initial * share

    def iterations(self, current_ms: float, iteration: int) -> int:
        """Return how many more iterations, ``iteration`` the next, the budget is away."""
        count = 0
        while current_ms > self.budget_ms and count < 100_000:
            current_ms = self.next(current_ms, iteration + count)
            count += 1
        return count
