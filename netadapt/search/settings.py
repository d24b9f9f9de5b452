"""What a search was asked to do; the run remembers it in ``run.json``."""

from collections.abc import Mapping
from typing import Annotated, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    ValidationError,
    model_validator,
)

from netadapt.errors import UserError
from netadapt.factories import require_trusted, trust_named
from netadapt.search.goal import Goal, Kind
from netadapt.search.names import ExecutorName, strategy_name
from netadapt.training.checkpoint import require_trusted_model
from netadapt.training.tasks import with_task_options

Text = Annotated[str, Field(min_length=1, max_length=1000)]
Count = Annotated[int, Field(ge=0, le=10_000_000)]
Positive = Annotated[int, Field(ge=1, le=10_000_000)]
Rate = Annotated[float, Field(gt=0, le=10)]
Share = Annotated[float, Field(gt=0, lt=1)]
Strategy = Annotated[str, Field(max_length=1000), AfterValidator(strategy_name)]
Budget = Annotated[float, Field(gt=0, allow_inf_nan=False)]

NO_GOAL = (
    "a search needs --budget-ms (or --speedup, --budget-macs, --budget-params, --budget-mb, "
    "--min-accuracy)"
)
NO_BUDGET = 1e-6  # the load to walk to where an accuracy ends the walk: no network is so small


class SearchSettings(BaseModel):
    """Every argument of a search. Latencies in ms; steps are optimiser steps.

    Attributes:
        model: a checkpoint, a registry name or ``package.module:factory``.
        input_size: ``(height, width)``; a checkpoint brings its own.
        task: what the network is for: a task's name or ``package.module:factory``; that of the
            network's recipe (``depth`` for most) if not given.
        data: the data's ``--data`` spec; not every task needs one.
        task_options: options of the task, by name, such as its loss.
        lut: folder of the latency table.
        budget_ms: the latency to reach on the table's target, by the clock where it is attached.
        speedup: the latency to reach, as a factor: 2 is half of the base's latency. Base and
            candidate are timed side by side where the target is attached.
        budget_macs: multiply-accumulates to reach, at the table's batch. All budgets given hold.
        budget_params: parameters to reach.
        budget_mb: memory to reach, 10^6 bytes: all weights and the most that activations take
            at once, in fp32; defined by ``netadapt.search.costs.Costs.batch``.
        min_accuracy: in place of budgets: the score on the holdout below which the walk ends.
        strategy: what proposes and selects: a name, or ``package.module:Class`` of your own.
        executor: what evaluates candidates; nothing of the result depends on it.
        device: of ``inline``: where candidates are fine-tuned and scored: ``cpu``, ``cuda[:N]`` or
            ``auto``.
        address: of ``ray``: the cluster's head, ``HOST:PORT`` or ``auto``; none is this machine.
        cpus_per_candidate: of ``ray``: cores, and threads, of a candidate.
        gpus_per_candidate: of ``ray``: GPUs of a candidate; several share one by fractions.
        short_steps: steps of each candidate's short-term fine-tune.
        long_steps: steps of the long-term fine-tune of each chosen point.
        long_points: points of the front to fine-tune long, the base beside them.
        batch_size: images a step.
        short_lr: learning rate of the short-term fine-tune, constant.
        long_lr: peak learning rate of the long-term fine-tune.
        optimizer: of both.
        initial_reduction: first iteration's share of the base latency to remove.
        decay: factor on the reduction from one iteration to the next.
        select: of ``netadapt``: pick the best ``accuracy``, or the least accuracy lost for what
            is saved of the budget (``ratio``).
        candidates: of ``random``: candidates an iteration.
        saliency_batches: training batches whose gradients ``netadapt-fast``, ``taylor`` and
            ``knapsack`` average.
        population: of ``evolution``: networks a generation.
        generations: of ``evolution``.
        recalibration_batches: training batches for the batch norms of ``evolution``'s networks.
        importance: which channels of a group go first, by their filters' ``l2`` norm or by their
            ``share`` of the group's weights; None is what the strategy holds right. Those that
            rank channels by scores of their own take none.
        channel_multiple: widths are multiples of it.
        lowest_share: no group goes below this share of its width.
        anchor_every: measure base and current network after every so many iterations, to correct
            predictions; by default as often as measuring takes under 10 % of the search's time.
        metrics: scores on the test split to report beside the one that counts; the task's own
            choice if not given.
        seed: all randomness is derived from it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    model: Text
    input_size: tuple[Positive, Positive] | None = None
    task: Text | None = None
    data: Text | None = None
    task_options: dict[str, JsonValue] = Field(default_factory=dict)
    lut: Text
    budget_ms: Budget | None = None
    speedup: Annotated[float, Field(gt=1, le=1000)] | None = None
    budget_macs: Budget | None = None
    budget_params: Budget | None = None
    budget_mb: Budget | None = None
    min_accuracy: Annotated[float, Field(allow_inf_nan=False)] | None = None
    strategy: Strategy = "netadapt"
    executor: ExecutorName = "inline"
    device: Text = "cpu"
    address: Text | None = None
    cpus_per_candidate: Annotated[int, Field(ge=1, le=1024)] = 1
    gpus_per_candidate: Annotated[float, Field(ge=0, le=64)] = 0.0
    short_steps: Count = 20
    long_steps: Count = 1000
    long_points: Positive = 6
    batch_size: Annotated[int, Field(ge=2, le=10_000)] = 8
    short_lr: Rate = 2e-4
    long_lr: Rate = 5e-4
    optimizer: Literal["sgd", "adamw"] = "adamw"
    initial_reduction: Share = 0.025
    decay: Annotated[float, Field(gt=0, le=1)] = 0.97
    select: Literal["accuracy", "ratio"] = "accuracy"
    candidates: Annotated[int, Field(ge=1, le=10_000)] = 8
    saliency_batches: Annotated[int, Field(ge=1, le=100_000)] = 8
    population: Annotated[int, Field(ge=4, le=10_000)] = 16
    generations: Annotated[int, Field(ge=1, le=100_000)] = 10
    recalibration_batches: Annotated[int, Field(ge=1, le=100_000)] = 8
    importance: Literal["l2", "share"] | None = None
    channel_multiple: Positive = 8
    lowest_share: Share = 0.125
    anchor_every: Positive | None = None
    metrics: tuple[Text, ...] | None = None
    seed: Count = 0

    @classmethod
    def parse(cls, values: dict[str, object]) -> "SearchSettings":
        """Validate ``values``; a ``UserError`` names the first that is wrong."""
        try:
            return cls.model_validate(with_task_options(values))
        except ValidationError as error:
            raise UserError(_first_problem(error)) from None

    def require_trusted(self, where: object, given: Mapping[str, object]) -> None:
        """Refuse what these settings, read from a file, may not start unless the user says so.

        Args:
            where: the file, for messages.
            given: what the user has named in this call: that may be used.

        Raises:
            UserError: they name a model, task or strategy of the user's own, or a Ray cluster
                (its machines can run code here), that the user has neither named nor trusted.
        """
        trust_named(given.get("model"), given.get("task"), given.get("strategy"))
        require_trusted_model(self.model, where)
        if self.task is not None:
            require_trusted(self.task, "task", where)
        require_trusted(self.strategy, "strategy", where)
        if self.executor == "ray" and self.address not in (None, given.get("address")):
            raise UserError(
                f"{where} asks for the Ray cluster at {self.address}, which was not contacted; if "
                f"you trust it, add --address {self.address}"
            )

    @property
    def budgets(self) -> dict[Kind, float]:
        """The budgets given, by kind."""
        given: dict[Kind, float | None] = {
            "ms": self.budget_ms,
            "macs": self.budget_macs,
            "params": self.budget_params,
            "mb": self.budget_mb,
        }
        return {kind: limit for kind, limit in given.items() if limit is not None}

    def goal(self, base_ms: float, higher_is_better: bool) -> Goal:
        """Return where the walk ends, for a base network that takes ``base_ms``."""
        if self.min_accuracy is not None:
            return Goal({"ms": base_ms}, NO_BUDGET, self.min_accuracy, higher_is_better)
        limits = self.budgets
        if self.speedup is not None:
            limits["ms"] = base_ms / self.speedup
        return Goal(limits, higher_is_better=higher_is_better)

    @model_validator(mode="after")
    def _gpus(self) -> "SearchSettings":
        if self.executor == "ray" and self.device != "cpu":
            raise UserError(
                "--device is of the inline executor; give Ray's workers GPUs by "
                "--gpus-per-candidate"
            )
        if self.gpus_per_candidate > 1 and self.gpus_per_candidate % 1:
            raise UserError(
                f"--gpus-per-candidate {self.gpus_per_candidate:g} is above 1 and not whole"
            )
        return self

    @model_validator(mode="after")
    def _one_goal(self) -> "SearchSettings":
        if self.speedup is not None and self.budget_ms is not None:
            raise UserError("give --budget-ms or --speedup, not both")
        budgeted = bool(self.budgets) or self.speedup is not None
        if self.min_accuracy is None:
            if not budgeted:
                raise UserError(NO_GOAL)
        elif budgeted:
            raise UserError("give a budget or --min-accuracy, not both")
        elif self.strategy == "evolution":
            raise UserError(
                "--strategy evolution does not walk down to a --min-accuracy: give it a budget"
            )
        return self


def _first_problem(error: ValidationError) -> str:
    first = error.errors()[0]
    name = ".".join(map(str, first["loc"])) or "the file"
    given = first.get("input")
    shown = f" (given {given!r})" if isinstance(given, str | int | float) else ""
    return f"{name}: {first['msg']}{shown}"[:300]
