"""The journal of a run as its page needs it: iterations, picks, failures, what the clock said."""

import codecs
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from netadapt.errors import UserError
from netadapt.files import existing_file
from netadapt.wording import first_problem

MAX_BYTES = 500_000_000

_Name = Annotated[str, Field(max_length=300)]
_Ms = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class _Event(BaseModel):
    model_config = ConfigDict(extra="ignore", allow_inf_nan=False)


class _Candidate(_Event):
    name: _Name
    iteration: int = 0
    stage: str = "short"
    widths: dict[str, int] = Field(default_factory=dict)
    predicted_ms: float
    macs: int = 0
    params: int = 0
    score: float | None = None
    failure: str | None = None
    checkpoint: str = ""
    test: dict[str, float] = Field(default_factory=dict)


class _Proposal(_Event):
    name: _Name


class _Started(_Event):
    base: _Candidate


class _IterationBegan(_Event):
    iteration: int
    target_ms: float | None = None
    proposals: list[_Proposal] = Field(default_factory=list)


class _Scored(_Event):
    candidate: _Candidate


class _Named(_Event):
    name: _Name


class _Anchored(_Event):
    name: _Name
    ms: _Ms
    base_ms: _Ms


_KINDS: dict[str, type[_Event]] = {
    "started": _Started,
    "iteration": _IterationBegan,
    "scored": _Scored,
    "tuned": _Scored,
    "selected": _Named,
    "retried": _Named,
    "finished": _Named,
    "anchored": _Anchored,
}


@dataclass
class Iteration:
    """One iteration of the walk.

    Attributes:
        number: from 1.
        target_ms: the latency its proposals had to meet; ``None`` without a latency budget.
        proposals: names of what it proposed.
        picked: the one it went on with; ``None`` while it is in progress.
    """

    number: int
    target_ms: float | None
    proposals: tuple[str, ...]
    picked: str | None = None


@dataclass(frozen=True)
class Anchor:
    """What the clock said of the network the walk stood at, and of the base in the same round.

    Attributes:
        iteration: after which it was asked.
        name: the network.
        predicted_ms: what had been predicted for it.
        measured_ms: its p50.
        base_ms: the base's p50 in the same round.
    """

    iteration: int
    name: str
    predicted_ms: float
    measured_ms: float
    base_ms: float


@dataclass
class RunEvents:
    """What a journal tells beside the tables.

    Attributes:
        base: the base network as the journal holds it; ``None`` before it was scored.
        iterations: of the walk, in order.
        scored: names of all that were scored or failed.
        failures: why a candidate failed, by name.
        retries: how often a candidate was started again, by name.
        predicted_ms: latency predicted when the candidate was proposed, by name.
        anchors: in order.
        answer: the name of the final network; ``None`` in an unfinished run.
    """

    base: dict[str, Any] | None = None
    iterations: list[Iteration] = field(default_factory=list)
    scored: set[str] = field(default_factory=set)
    failures: dict[str, str] = field(default_factory=dict)
    retries: dict[str, int] = field(default_factory=dict)
    predicted_ms: dict[str, float] = field(default_factory=dict)
    anchors: list[Anchor] = field(default_factory=list)
    answer: str | None = None

    def apply(self, event: _Event, kind: str) -> None:
        """Take in one event of the journal."""
        match event:
            case _Started(base=base):
                self.base = base.model_dump()
                self.predicted_ms[base.name] = base.predicted_ms
            case _IterationBegan():
                names = tuple(proposal.name for proposal in event.proposals)
                self.scored.difference_update(names)
                if self.iterations and self.iterations[-1].number == event.iteration:
                    self.iterations.pop()  # all its candidates failed; it began once more
                self.iterations.append(Iteration(event.iteration, event.target_ms, names))
            case _Scored(candidate=candidate):
                self.scored.add(candidate.name)
                self.predicted_ms[candidate.name] = candidate.predicted_ms
                self.failures.pop(candidate.name, None)
                if candidate.failure:
                    self.failures[candidate.name] = candidate.failure
            case _Anchored(name=name) if name in self.predicted_ms:
                done = sum(one.picked is not None for one in self.iterations)
                predicted = self.predicted_ms[name]
                self.anchors.append(Anchor(done, name, predicted, event.ms, event.base_ms))
            case _Named(name=name) if kind == "selected" and self.iterations:
                self.iterations[-1].picked = name
            case _Named(name=name) if kind == "retried":
                self.retries[name] = self.retries.get(name, 0) + 1
            case _Named(name=name) if kind == "finished":
                self.answer = name


def read_events(path: Path) -> RunEvents | None:
    """Read the journal in ``path``; ``None`` if there is none.

    A last line without its end is dropped, as a kill leaves it. Events of other kinds are passed
    over.

    Raises:
        UserError: any other damage, with the line's number.
    """
    if not path.exists():
        return None
    existing_file(path, "journal")
    if path.stat().st_size > MAX_BYTES:
        raise UserError(f"{path} is larger than {MAX_BYTES} bytes; it is no journal")
    content = path.read_bytes().removeprefix(codecs.BOM_UTF8)
    events = RunEvents()
    for number, line in enumerate(content[: content.rfind(b"\n") + 1].splitlines(), start=1):
        try:
            values = json.loads(line)
            kind = values["event"]
            if kind in _KINDS:
                events.apply(_KINDS[kind].model_validate(values), kind)
        except ValidationError as error:
            raise UserError(f"{path} line {number} is damaged: {first_problem(error)}") from error
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise UserError(f"{path} line {number} is not an event of a journal") from error
    return events
