"""What a search was asked to do; the run remembers it in ``run.json``."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from netadapt.errors import UserError

Text = Annotated[str, Field(min_length=1, max_length=1000)]
Count = Annotated[int, Field(ge=0, le=10_000_000)]
Positive = Annotated[int, Field(ge=1, le=10_000_000)]
Rate = Annotated[float, Field(gt=0, le=10)]
Share = Annotated[float, Field(gt=0, lt=1)]


class SearchSettings(BaseModel):
    """Every argument of a search. Latencies in ms; steps are optimiser steps.

    Attributes:
        model: a checkpoint, a registry name or ``package.module:factory``.
        input_size: ``(height, width)``; a checkpoint brings its own.
        data: the data's ``--data`` spec.
        lut: folder of the latency table.
        budget_ms: the latency to reach on the table's target.
        short_steps: steps of each candidate's short-term fine-tune.
        long_steps: steps of the long-term fine-tune of each chosen point.
        long_points: points of the front to fine-tune long, the base beside them.
        batch_size: images a step.
        short_lr: learning rate of the short-term fine-tune, constant.
        long_lr: peak learning rate of the long-term fine-tune.
        optimizer: of both.
        initial_reduction: first iteration's share of the base latency to remove.
        decay: factor on the reduction from one iteration to the next.
        select: pick the best ``accuracy``, or the least accuracy lost per ms (``ratio``).
        importance: which channels of a group go first.
        channel_multiple: widths are multiples of it.
        lowest_share: no group goes below this share of its width.
        metrics: scores on the test split to report beside the one that counts.
        seed: all randomness is derived from it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    model: Text
    input_size: tuple[Positive, Positive] | None = None
    data: Text
    lut: Text
    budget_ms: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    strategy: Literal["netadapt"] = "netadapt"
    executor: Literal["inline"] = "inline"
    short_steps: Count = 20
    long_steps: Count = 1000
    long_points: Positive = 6
    batch_size: Annotated[int, Field(ge=2, le=10_000)] = 8
    short_lr: Rate = 2e-4
    long_lr: Rate = 5e-4
    optimizer: Literal["sgd", "adamw"] = "adamw"
    loss: Literal["l1", "berhu"] = "l1"
    initial_reduction: Share = 0.025
    decay: Annotated[float, Field(gt=0, le=1)] = 0.97
    select: Literal["accuracy", "ratio"] = "accuracy"
    importance: Literal["l2"] = "l2"
    channel_multiple: Positive = 8
    lowest_share: Share = 0.125
    metrics: tuple[Text, ...] = ("rmse",)
    seed: Count = 0

    @classmethod
    def parse(cls, values: dict[str, object]) -> "SearchSettings":
        """Validate ``values``; a ``UserError`` names the first that is wrong."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise UserError(_first_problem(error)) from None


def _first_problem(error: ValidationError) -> str:
    first = error.errors()[0]
    name = ".".join(map(str, first["loc"])) or "the file"
    given = first.get("input")
    shown = f" (given {given!r})" if isinstance(given, str | int | float) else ""
    return f"{name}: {first['msg']}{shown}"[:300]
