"""One proposal of an iteration and what became of it."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Stage = Literal["base", "short", "long"]
Name = Annotated[str, Field(pattern=r"^[0-9]+(-[A-Za-z0-9_.]+)?(-long)?$", max_length=200)]


class Proposal(BaseModel):
    """Widths to evaluate: one group of the iteration's network narrowed to meet its target."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    iteration: Annotated[int, Field(ge=0)]
    group: str
    widths: Mapping[str, int]
    predicted_ms: Annotated[float, Field(gt=0)]


class Candidate(BaseModel):
    """An evaluated proposal.

    Attributes:
        stage: ``base``, after the ``short`` or after the ``long`` fine-tune.
        score: what counts, on the holdout; ``None`` if the candidate failed.
        failure: why, if it failed.
        checkpoint: its weights, relative to the run folder.
        test: scores on the test split, where it was reported.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Name
    iteration: Annotated[int, Field(ge=0)]
    stage: Stage
    widths: Mapping[str, int]
    predicted_ms: float
    macs: int
    params: int
    score: float | None
    failure: str | None = None
    checkpoint: Annotated[str, Field(pattern=r"^checkpoints/[A-Za-z0-9_.-]+\.safetensors$")]
    test: Mapping[str, float] = Field(default_factory=dict)
