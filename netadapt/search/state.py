"""Where a search stands, rebuilt from its journal and from nothing else."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import assert_never

from netadapt.errors import UserError
from netadapt.search.candidate import Candidate, Proposal
from netadapt.search.front import pareto_front
from netadapt.search.goal import Kind
from netadapt.search.journal import (
    Chosen,
    Event,
    Finished,
    IterationBegan,
    Measured,
    Retried,
    Scored,
    Selected,
    Started,
    Tightened,
    Tuned,
)


@dataclass
class SearchState:
    """The replayed journal.

    Attributes:
        candidates: everything evaluated, by name, in order.
        walk: names of the base and of each iteration's pick.
        pending: proposals of the iteration in progress that have no score yet.
        proposals: all proposals of the iteration in progress.
        target_ms: of the iteration in progress; ``None`` without a budget for the latency.
        targets: of the iteration in progress, for the other budgets.
        proposing_samples: training images read to propose, in all iterations.
        predicted_budget_ms: the predicted latency to walk to, once the clock has corrected it.
        chosen: the points to fine-tune long.
        measured_ms: the clock's p50, by the name of the short-term candidate.
        was_measured: whether the chosen points' measurement is over (also without a clock).
        finished: the name of the final model.
        retries: attempts that came to nothing and were made again, by candidate.
    """

    higher_is_better: bool
    candidates: dict[str, Candidate] = field(default_factory=dict)
    walk: list[str] = field(default_factory=list)
    proposals: list[Proposal] = field(default_factory=list)
    target_ms: float | None = None
    targets: Mapping[Kind, float] = field(default_factory=dict)
    proposing_samples: int = 0
    predicted_budget_ms: float | None = None
    chosen: tuple[str, ...] = ()
    measured_ms: dict[str, float] = field(default_factory=dict)
    was_measured: bool = False
    finished: str | None = None
    retries: dict[str, int] = field(default_factory=dict)

    def replay(self, events: Iterable[Event]) -> "SearchState":
        """Apply ``events`` in order and return the state."""
        for event in events:
            self.apply(event)
        return self

    def apply(self, event: Event) -> None:
        """Move the state on by one event."""
        match event:
            case Started(base=base):
                self.candidates[base.name] = base
                self.walk.append(base.name)
            case IterationBegan():
                self.target_ms, self.targets = event.target_ms, event.targets
                self.proposals = list(event.proposals)
                self.proposing_samples += event.training_samples
                for proposal in event.proposals:
                    self.candidates.pop(proposal.name, None)
            case Retried(name=name):
                self.retries[name] = self.retries.get(name, 0) + 1
            case Scored(candidate=candidate) | Tuned(candidate=candidate):
                self.candidates[candidate.name] = candidate
            case Selected(name=name):
                self.walk.append(self._known(name))
                self._order([proposal.name for proposal in self.proposals])
                self.proposals = []
            case Chosen(names=names):
                self.chosen = tuple(self._known(name) for name in names)
                self.was_measured = False
            case Measured(p50_ms=measured):
                self.measured_ms.update(measured or {})
                self.was_measured = True
            case Tightened(predicted_budget_ms=budget):
                self.predicted_budget_ms = budget
                self.chosen, self.was_measured = (), False
            case Finished(name=name):
                self.finished = self._known(name)
                self._order([f"{chosen}-long" for chosen in self.chosen])
            case _:
                assert_never(event)

    @property
    def current(self) -> Candidate:
        """The network that the next iteration starts from."""
        return self.candidates[self.walk[-1]]

    @property
    def iteration(self) -> int:
        """The iteration in progress or, between two, the next one; the first is 1."""
        return len(self.walk)

    @property
    def pending(self) -> list[Proposal]:
        """Proposals of the iteration in progress that have no score yet."""
        return [p for p in self.proposals if p.name not in self.candidates]

    @property
    def all_failed(self) -> bool:
        """Whether the iteration in progress is over and no candidate of it has a score."""
        return bool(self.proposals) and not self.pending and not self.scored

    @property
    def scored(self) -> list[Candidate]:
        """Candidates of the iteration in progress that have a score, in order of proposal."""
        done = [self.candidates.get(p.name) for p in self.proposals]
        return [c for c in done if c is not None and c.score is not None]

    def front(self, stages: Iterable[str] = ("base", "short", "long")) -> list[Candidate]:
        """The non-dominated candidates of ``stages``, by rising predicted latency."""
        wanted = set(stages)
        rows = [c for c in self.candidates.values() if c.stage in wanted and c.score is not None]
        sign = 1.0 if self.higher_is_better else -1.0
        indices = pareto_front(
            [row.predicted_ms for row in rows], [sign * (row.score or 0.0) for row in rows]
        )
        return [rows[index] for index in indices]

    def latency_ms(self, candidate: Candidate) -> float | None:
        """The measured latency of ``candidate``'s widths, if the clock has timed them."""
        return self.measured_ms.get(candidate.name.removesuffix("-long"))

    def costs(self, candidate: Candidate) -> dict[Kind, float]:
        """What ``candidate`` costs, its latency by the clock if that has timed its widths."""
        measured = self.latency_ms(candidate)
        costs = candidate.costs
        return costs if measured is None else {**costs, "ms": measured}

    def better(self, one: float, other: float) -> bool:
        """Whether score ``one`` is better than ``other``."""
        return one > other if self.higher_is_better else one < other

    def training_samples(self) -> dict[str, int] | None:
        """Training images read so far: to propose, in ``short`` and in ``long`` candidates.

        ``None`` if the journal is older than the count.
        """
        total = {"proposing": self.proposing_samples, "short": 0, "long": 0}
        for row in self.candidates.values():
            if row.training_samples is None:
                return None
            if row.stage != "base":
                total[row.stage] += row.training_samples
        return total

    def needed_checkpoints(self) -> set[str]:
        """The weights that some later step can still ask for."""
        keep = {c.checkpoint for c in self.front(("base", "short"))}
        keep |= {self.candidates[name].checkpoint for name in self.walk}
        keep |= {self.candidates[name].checkpoint for name in self.chosen}
        keep |= {
            self.candidates[p.name].checkpoint for p in self.proposals if p.name in self.candidates
        }
        return keep | {c.checkpoint for c in self.candidates.values() if c.stage == "long"}

    def _order(self, names: Iterable[str]) -> None:
        """Put the latest candidates in this order, whichever of them was done first."""
        for name in names:
            self.candidates[name] = self.candidates.pop(self._known(name))

    def _known(self, name: str) -> str:
        if name not in self.candidates:
            raise UserError(f"the journal names candidate {name} before it was scored")
        return name


def best(
    state: SearchState, candidates: Mapping[str, Candidate] | Iterable[Candidate]
) -> Candidate:
    """Return the candidate of the best score; of equal ones the first."""
    rows = list(candidates.values()) if isinstance(candidates, Mapping) else list(candidates)
    winner = rows[0]
    for row in rows[1:]:
        if row.score is not None and (
            winner.score is None or state.better(row.score, winner.score)
        ):
            winner = row
    return winner
