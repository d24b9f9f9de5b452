"""The journal is the run: one JSON line an event, fsynced before the search goes on."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from netadapt.errors import UserError
from netadapt.search.candidate import Candidate, Proposal
from netadapt.search.goal import Kind

MAX_BYTES = 500_000_000


class _Event(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Started(_Event):
    """The base network was scored; the walk begins at it."""

    event: Literal["started"] = "started"
    base: Candidate


class IterationBegan(_Event):
    """An iteration's target and what it proposes to evaluate.

    Attributes:
        target_ms: of the predicted latency; ``None`` where other budgets alone are asked for.
        targets: of the other budgets.
        training_samples: training images read to propose (for saliencies).
    """

    event: Literal["iteration"] = "iteration"
    iteration: int
    target_ms: float | None
    targets: Mapping[Kind, float] = Field(default_factory=dict)
    proposals: tuple[Proposal, ...]
    training_samples: int = 0


class Scored(_Event):
    """A candidate was pruned, fine-tuned briefly and scored, or failed."""

    event: Literal["scored"] = "scored"
    candidate: Candidate


class Selected(_Event):
    """The iteration's pick; the next one starts from it."""

    event: Literal["selected"] = "selected"
    iteration: int
    name: str


class Chosen(_Event):
    """The walk has met the budget as predicted; these points go on."""

    event: Literal["chosen"] = "chosen"
    names: tuple[str, ...]


class Measured(_Event):
    """The clock's word on the chosen points, p50 in ms; ``None`` where no clock was at hand."""

    event: Literal["measured"] = "measured"
    p50_ms: Mapping[str, float] | None


class Tightened(_Event):
    """No point met the budget by the clock: the walk goes on to a lower predicted one."""

    event: Literal["tightened"] = "tightened"
    predicted_budget_ms: float


class Tuned(_Event):
    """A chosen point was fine-tuned long, scored and reported on the test split."""

    event: Literal["tuned"] = "tuned"
    candidate: Candidate


class Finished(_Event):
    """The search is over; ``name`` is the model within the budget."""

    event: Literal["finished"] = "finished"
    name: str


Event = Annotated[
    Started | IterationBegan | Scored | Selected | Chosen | Measured | Tightened | Tuned | Finished,
    Field(discriminator="event"),
]
_PARSER: TypeAdapter[Any] = TypeAdapter(Event)


class Journal:
    """The events of one run, in a file that only grows."""

    def __init__(self, path: Path) -> None:
        """Open the journal at ``path``, dropping the torn last line that a kill leaves.

        Raises:
            UserError: any other damage, with the line's number.
        """
        self._path = path
        self.events: list[Any] = []
        if path.exists():
            self._read()

    def append(self, event: _Event) -> None:
        """Write ``event`` and wait until it is on the disk."""
        line = event.model_dump_json() + "\n"
        try:
            with self._path.open("ab") as file:
                file.write(line.encode())
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise UserError(
                f"cannot write {self._path}: {error.strerror or error}; the run can be resumed"
            ) from error
        self.events.append(event)

    def _read(self) -> None:
        if self._path.stat().st_size > MAX_BYTES:
            raise UserError(f"{self._path} is larger than {MAX_BYTES} bytes; it is no journal")
        content = self._path.read_bytes()
        whole = content.rfind(b"\n") + 1
        for number, line in enumerate(content[:whole].splitlines(), start=1):
            try:
                self.events.append(_PARSER.validate_json(line))
            except ValidationError as error:
                message = error.errors()[0]["msg"]
                raise UserError(
                    f"{self._path} line {number} is damaged: {message}; "
                    "restore the file or start another run"
                ) from None
        if whole < len(content):
            with self._path.open("r+b") as file:
                file.truncate(whole)
                os.fsync(file.fileno())
