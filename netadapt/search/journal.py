"""The journal is the run: one JSON line an event, fsynced before the search goes on."""

import codecs
import os
import re
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from netadapt.errors import UserError
from netadapt.search.candidate import Candidate, Name, Proposal
from netadapt.search.goal import Kind
from netadapt.wording import first_problem

MAX_BYTES = 500_000_000
SEAL = re.compile(rb',"(crc32|chain)":"([0-9a-f]{8})"}$')


Milliseconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Millijoules = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Started(_Event):
    """The base network was scored; the walk begins at it."""

    event: Literal["started"] = "started"
    base: Candidate


class IterationBegan(_Event):
    """An iteration's target and what it proposes to evaluate.

    If all its candidates failed, it begins once more with the same ones when the run is resumed.

    Attributes:
        target_ms: of the predicted latency; ``None`` without a budget for it.
        targets: of the other budgets.
        training_samples: training images read to propose (for saliencies).
        measured_ms: p50 of proposals that were timed before training, where the budget is near.
        base_ms: p50 of the base in the same round.
    """

    event: Literal["iteration"] = "iteration"
    iteration: int
    target_ms: float | None
    targets: Mapping[Kind, float] = Field(default_factory=dict)
    proposals: tuple[Proposal, ...]
    training_samples: int = 0
    measured_ms: Mapping[Name, Milliseconds] = Field(default_factory=dict)
    base_ms: Milliseconds | None = None


class Anchored(_Event):
    """The base and the network the walk stands at were timed side by side, in one round.

    Further predictions are relative to ``ms``. If points were chosen, the choice is withdrawn: the
    walk goes on.

    Attributes:
        name: of the current network.
        base_ms: p50 of the base.
        ms: p50 of the current network.
        base_mj: energy of a run of the base, where the machine has a counter.
        mj: likewise of the current network.
    """

    event: Literal["anchored"] = "anchored"
    name: Name
    base_ms: Milliseconds
    ms: Milliseconds
    base_mj: Millijoules | None = None
    mj: Millijoules | None = None


class Scored(_Event):
    """A candidate was pruned, fine-tuned briefly and scored, or failed."""

    event: Literal["scored"] = "scored"
    candidate: Candidate


class Retried(_Event):
    """An attempt at a candidate failed for ``reason``; the candidate is evaluated again.

    Attributes:
        attempt: its number, from 1.
    """

    event: Literal["retried"] = "retried"
    name: Name
    attempt: Annotated[int, Field(ge=1)]
    reason: Annotated[str, Field(max_length=1000)]


class Selected(_Event):
    """The iteration's pick; the next one starts from it."""

    event: Literal["selected"] = "selected"
    iteration: int
    name: str


class Chosen(_Event):
    """The walk has met the budget; these points go on."""

    event: Literal["chosen"] = "chosen"
    names: tuple[str, ...]


class Measured(_Event):
    """The chosen points were timed in one round: p50 in ms, or ``None`` if there is no clock.

    ``energy_mj`` is the energy of a run of each, where the machine has a counter.
    """

    event: Literal["measured"] = "measured"
    p50_ms: Mapping[Name, Milliseconds] | None
    energy_mj: Mapping[Name, Millijoules] | None = None


class Tightened(_Event):
    """Older runs only: no point met the budget by the clock, so the walk went on."""

    event: Literal["tightened"] = "tightened"
    predicted_budget_ms: float


class Tuned(_Event):
    """A chosen point was fine-tuned long, scored and reported on the test split."""

    event: Literal["tuned"] = "tuned"
    candidate: Candidate


class Finished(_Event):
    """The search is over; ``name`` is the answer."""

    event: Literal["finished"] = "finished"
    name: str


Event = (
    Started
    | IterationBegan
    | Retried
    | Anchored
    | Scored
    | Selected
    | Chosen
    | Measured
    | Tightened
    | Tuned
    | Finished
)
_PARSER: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="event")])


class Journal:
    """The events of one run, in a file that only grows."""

    def __init__(self, path: Path) -> None:
        """Read the journal at ``path`` but for the torn last line that a kill leaves.

        Nothing is written before the first ``append``: whoever only reads may do so while the
        search is at work.

        Raises:
            UserError: any other damage, with the line's number.
        """
        self._path = path
        self._bytes = 0  # of the file
        self._whole = 0  # of them, in whole lines
        self._chain = _Chain()
        self.events: list[Event] = []
        if path.exists():
            self._read()

    def append(self, event: Event) -> None:
        """Write ``event`` and wait until it is on the disk.

        Raises:
            UserError: it cannot be written, or someone else has changed or removed the file.
        """
        chain = replace(self._chain)
        line = chain.sealed(event.model_dump_json()) + "\n"
        try:
            with self._path.open("ab") as file:
                if file.tell() != self._bytes:
                    raise UserError(
                        f"{self._path} was changed or removed while the search was at work; "
                        "leave a run's folder alone until it is done"
                    )
                if self._whole < self._bytes:
                    file.truncate(self._whole)
                file.write(line.encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise UserError(
                f"cannot write {self._path}: {error.strerror or error}; the run can be resumed"
            ) from error
        self._whole += len(line.encode())
        self._bytes = self._whole
        self._chain = chain
        self.events.append(event)

    def _read(self) -> None:
        if self._path.stat().st_size > MAX_BYTES:
            raise UserError(f"{self._path} is larger than {MAX_BYTES} bytes; it is no journal")
        content = self._path.read_bytes()
        whole = content.rfind(b"\n") + 1
        lines = content[:whole].removeprefix(codecs.BOM_UTF8).splitlines()
        for number, line in enumerate(lines, start=1):
            try:
                self.events.append(_PARSER.validate_json(self._chain.unsealed(line)))
            except ValidationError as error:
                raise self.damaged(number, first_problem(error)) from None
            except ValueError as error:
                raise self.damaged(number, error) from None
        self._bytes, self._whole = len(content), whole

    def damaged(self, number: int, why: object) -> UserError:
        """Return the error that says what is wrong with line ``number``, from 1."""
        return UserError(
            f"{self._path} line {number} is damaged: {why}; restore the file or start another run"
        )


def has_scored(path: Path) -> bool:
    """Whether a candidate is in the journal at ``path``, which may be damaged or missing."""
    return path.exists() and b'{"event":"scored"' in path.read_bytes()


@dataclass
class _Chain:
    """The checksums of a journal's lines; each is over its line and, by the one before, all others.

    So a line that is changed, doubled, lost or moved does not fit where it stands. Lines of older
    journals have a checksum of their own each (``crc32``), or none.
    """

    last: int = 0
    begun: bool = False

    def sealed(self, line: str) -> str:
        """Return a JSON object with its checksum as its last field."""
        self.last, self.begun = zlib.crc32(line.encode(), self.last), True
        return f'{line[:-1]},"chain":"{self.last:08x}"}}'

    def unsealed(self, line: bytes) -> bytes:
        """Return what was sealed.

        Raises:
            ValueError: it is not what was written, or does not follow the line before.
        """
        seal = SEAL.search(line)
        if seal is None or seal[1] == b"crc32":
            if self.begun:
                raise ValueError("it has no checksum that ties it to the line before")
            return self._old(line, seal)
        text = line[: seal.start()] + b"}"
        expected = zlib.crc32(text, self.last)
        if expected != int(seal[2], 16):
            raise ValueError("its checksum is wrong: it was changed, or is not in its place")
        self.last, self.begun = expected, True
        return text

    def _old(self, line: bytes, seal: "re.Match[bytes] | None") -> bytes:
        text = line if seal is None else line[: seal.start()] + b"}"
        self.last = zlib.crc32(text)
        if seal is not None and self.last != int(seal[2], 16):
            raise ValueError("its checksum is wrong")
        return text
