"""The state of a search, rebuilt from its journal alone."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, assert_never

from netadapt.errors import UserError
from netadapt.search.candidate import LONG, QAT, Candidate, Proposal
from netadapt.search.front import pareto_front
from netadapt.search.goal import Kind
from netadapt.search.journal import (
    Anchored,
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

Source = Literal["measured", "anchored", "predicted"]


@dataclass(frozen=True)
class Latency:
    """A latency, and where it comes from.

    Attributes:
        ms: p50.
        source: ``measured`` by the clock; ``anchored``: predicted relative to a network that was
            measured; ``predicted`` by the table alone.
    """

    ms: float
    source: Source


@dataclass(frozen=True)
class Reading:
    """What the clock said of a network, and of the base in the same round (``None``: unknown).

    Latencies are in ms. Energies, which an energy counter tells, are in mJ.
    """

    value: float
    base: float | None

    def at(self, base_now: float | None) -> float:
        """Return what it would be if the base were as it is now: ratios hold, values drift."""
        if self.base is None or base_now is None:
            return self.value
        return self.value / self.base * base_now


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
        chosen: the points to fine-tune long.
        anchor: the last time that the current network was measured; ``None`` without a clock.
        readings: what the clock said last, by the name of the short-term candidate.
        energies: likewise of the energy of a run.
        base_mj: the base's energy of a run in the last round that told one.
        base_ms: the base's latency in the last round.
        first_base_ms: and in the first one.
        bases_ms: the base's latency when each iteration began, by iteration.
        was_measured: whether the chosen points' measurement is over (also without a clock).
        finished: the name of the final model.
        retries: attempts that failed, by candidate.
    """

    higher_is_better: bool
    candidates: dict[str, Candidate] = field(default_factory=dict)
    walk: list[str] = field(default_factory=list)
    proposals: list[Proposal] = field(default_factory=list)
    target_ms: float | None = None
    targets: Mapping[Kind, float] = field(default_factory=dict)
    proposing_samples: int = 0
    chosen: tuple[str, ...] = ()
    anchor: Anchored | None = None
    readings: dict[str, Reading] = field(default_factory=dict)
    energies: dict[str, Reading] = field(default_factory=dict)
    base_mj: float | None = None
    base_ms: float | None = None
    first_base_ms: float | None = None
    bases_ms: dict[int, float] = field(default_factory=dict)
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
                if self.anchor and self.base_ms is not None:
                    self.bases_ms[event.iteration] = self.base_ms
                self._timed(event.measured_ms, event.base_ms)
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
            case Anchored(name=name, ms=ms, base_ms=base_ms):
                self.anchor = event
                self._timed({self.base.name: base_ms, self._known(name): ms}, base_ms)
                if event.base_mj is not None and event.mj is not None:
                    self._metered({self.base.name: event.base_mj, name: event.mj})
                self.chosen, self.was_measured = (), False
            case Measured(p50_ms=measured):
                self._timed(measured or {}, (measured or {}).get(self.base.name))
                self._metered(event.energy_mj or {})
                self.was_measured = True
            case Tightened():
                self.chosen, self.was_measured = (), False
            case Finished(name=name):
                self.finished = self._known(name)
                for end in (LONG, LONG + QAT):
                    self._order([c + end for c in self.chosen if c + end in self.candidates])
            case _:
                assert_never(event)

    def _timed(self, measured_ms: Mapping[str, float], base_ms: float | None) -> None:
        """Keep what the clock said in one round."""
        if base_ms is not None:
            self.base_ms = base_ms
            self.first_base_ms = self.first_base_ms or base_ms
        self.readings |= {name: Reading(ms, base_ms) for name, ms in measured_ms.items()}

    def _metered(self, measured_mj: Mapping[str, float]) -> None:
        """Keep what the energy counter said in one round."""
        self.base_mj = measured_mj.get(self.base.name, self.base_mj)
        self.energies |= {name: Reading(mj, self.base_mj) for name, mj in measured_mj.items()}

    @property
    def base(self) -> Candidate:
        """The base network."""
        if not self.walk:
            raise UserError("the journal does not begin with the base network")
        return self.candidates[self.walk[0]]

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
        """The non-dominated candidates of ``stages``, by rising latency.

        The latency is that of ``latency``; in runs that were never anchored it is the predicted
        one, since a few measured latencies do not compare with the others' predictions.
        """
        wanted = set(stages)
        rows = [c for c in self.candidates.values() if c.stage in wanted and c.score is not None]
        sign = 1.0 if self.higher_is_better else -1.0
        indices = pareto_front(
            [self.latency(row).ms if self.anchor else row.predicted_ms for row in rows],
            [sign * (row.score or 0.0) for row in rows],
        )
        return [rows[index] for index in indices]

    def measured_ms(self, candidate: Candidate) -> float | None:
        """Return the measured p50 of ``candidate``'s widths, ``None`` if they were never timed.

        It is the ratio to the base in the round of its own, times the base's latency in the last
        round: ratios stay true on a machine whose speed drifts, so that all of them compare.
        """
        reading = self.readings.get(candidate.before_long)
        return None if reading is None else reading.at(self.base_ms)

    def measured_mj(self, candidate: Candidate) -> float | None:
        """Return the measured energy of a run of ``candidate``'s widths, as ``measured_ms``."""
        reading = self.energies.get(candidate.before_long)
        return None if reading is None else reading.at(self.base_mj)

    def predicted(self, candidate: Candidate) -> Latency:
        """Return the prediction of ``candidate``'s latency, anchored where the clock allows it."""
        if candidate.iteration == 0 and self.anchor and self.base_ms:
            return Latency(self.base_ms, "anchored")
        then = self.bases_ms.get(candidate.iteration)
        if then is None or self.base_ms is None:
            return Latency(candidate.predicted_ms, "predicted")
        return Latency(candidate.predicted_ms / then * self.base_ms, "anchored")

    def latency(self, candidate: Candidate) -> Latency:
        """Return the latency of ``candidate``: measured if it was, else predicted."""
        measured = self.measured_ms(candidate)
        return self.predicted(candidate) if measured is None else Latency(measured, "measured")

    def costs(self, candidate: Candidate) -> dict[Kind, float]:
        """Return what ``candidate`` costs: latency and energy as measured, if they were."""
        costs = {**candidate.costs, "ms": self.latency(candidate).ms}
        measured_mj = self.measured_mj(candidate)
        return costs if measured_mj is None else {**costs, "mj": measured_mj}

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
