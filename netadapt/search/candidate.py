"""One proposal of an iteration and what became of it."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from netadapt.search.goal import Kind

Stage = Literal["base", "short", "long"]
Name = Annotated[str, Field(pattern=r"^[0-9]+(-[A-Za-z0-9_.]+)?(-long(-qat)?)?$", max_length=200)]


LONG, QAT = "-long", "-qat"  # at the end of the names of what was fine-tuned so


class Proposal(BaseModel):
    """Widths to evaluate.

    Attributes:
        group: the one that was narrowed, or empty where several were.
    """

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
        deployed: as ``test``, of the int8 file, where the target is int8; ``score`` is the file's
            too, and of ``short`` candidates that of int8 simulated.
        training_samples: training images that its fine-tune or recalibration read; ``None`` in
            journals older than the count.
        peak_mb: its memory (see ``Costs.batch``), where there is a budget for it.
        predicted_mj: its energy of a run, where the table tells it.
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
    deployed: Mapping[str, float] = Field(default_factory=dict)
    training_samples: Annotated[int, Field(ge=0)] | None = None
    peak_mb: float | None = None
    predicted_mj: float | None = None

    @property
    def before_long(self) -> str:
        """The name of the candidate that it was before its long-term fine-tune."""
        return self.name.removesuffix(QAT).removesuffix(LONG) if self.stage == "long" else self.name

    @property
    def costs(self) -> dict[Kind, float]:
        """What the network costs, as far as it is known."""
        known: dict[Kind, float] = {
            "ms": self.predicted_ms,
            "macs": self.macs,
            "params": self.params,
        }
        if self.peak_mb is not None:
            known["mb"] = self.peak_mb
        if self.predicted_mj is not None:
            known["mj"] = self.predicted_mj
        return known
