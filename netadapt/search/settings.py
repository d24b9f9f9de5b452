"""The options of a search; the run remembers them in ``run.json``."""

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
from netadapt.image_sizes import require_sizes
from netadapt.options import (
    APPROXIMATE,
    BLOCKS,
    BUDGET,
    DATA,
    FINE_TUNING,
    INPUTS,
    LOCK,
    NETWORK,
    OUTPUT,
    OUTPUT_OF,
    STRATEGY,
    WHERE,
    Option,
    refusal,
    require_own,
    with_task_options,
)
from netadapt.search.goal import Goal, Kind
from netadapt.search.names import STRATEGIES, ExecutorName, strategy_name

Text = Annotated[str, Field(min_length=1, max_length=1000)]
Count = Annotated[int, Field(ge=0, le=10_000_000)]
Positive = Annotated[int, Field(ge=1, le=10_000_000)]
Rate = Annotated[float, Field(gt=0, le=10)]
Share = Annotated[float, Field(gt=0, lt=1)]
Strategy = Annotated[str, Field(max_length=1000), AfterValidator(strategy_name)]
Budget = Annotated[float, Field(gt=0, allow_inf_nan=False)]

RAY = ("executor", "ray")
EVOLUTION = ("strategy", "evolution")

NO_GOAL = (
    "a search needs --budget-ms (or --speedup, --budget-mj, --budget-macs, --budget-params, "
    "--budget-mb, --min-accuracy)"
)
NO_BUDGET = 1e-6  # the load to walk to where an accuracy ends the walk: no network is so small


class SearchSettings(BaseModel):
    """Every option of a search. The command line, the API and ``run.json`` take theirs from here.

    After a change run the tests with ``OVERWRITE_GOLDEN=1``: it rewrites ``netadapt/keywords.py``,
    ``docs/options.md`` and the stored ``--help`` pages.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: Literal[1] = 1
    model: Annotated[
        Text,
        Option(
            "Network to start from: a registry name, package.module:factory or a checkpoint.",
            NETWORK,
            is_path=True,
        ),
    ]
    input_size: Annotated[
        tuple[Positive, Positive] | None,
        Option(
            "Height and width of the network's input.",
            NETWORK,
            unit="HxW",
            usual="the checkpoint's own",
        ),
    ] = None
    input_sizes: Annotated[
        tuple[tuple[Positive, Positive], ...],
        Option(
            "Search one front over several input sizes, the largest first. Accuracy is scored at "
            "the first, and --speedup is relative to the base there.",
            NETWORK,
            unit="HxW,...",
            usual="one, --input-size",
        ),
    ] = ()
    # at a smaller input size of such a search: what the base takes, as a share of that at the first
    base_share: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    inputs: Annotated[
        tuple[Text, ...],
        Option(INPUTS, NETWORK, unit="NAME=SIZES", usual="the checkpoint's own", flag="--input"),
    ] = ()
    output: Annotated[
        Text | None, Option(OUTPUT_OF, NETWORK, unit="NAME", usual="the checkpoint's own, or all")
    ] = None
    task: Annotated[
        Text | None,
        Option(
            "What the network is for: depth, self-supervised, digits or package.module:factory.",
            NETWORK,
            usual="the task of the network's recipe; depth for most",
        ),
    ] = None
    data: Annotated[Text | None, Option(DATA, NETWORK)] = None
    task_options: Annotated[
        dict[str, JsonValue],
        Option(
            "An option of the task, such as its loss; repeatable.",
            NETWORK,
            unit="KEY=VALUE",
            usual="the task's own",
            flag="--task-option",
        ),
    ] = Field(default_factory=dict)
    lut: Annotated[
        Text,
        Option(
            "Folder of the target's latency table, lut/SLUG. Repeat it for several targets: each "
            "gets a front of its own.",
            BUDGET,
            is_path=True,
            one_each=True,
        ),
    ]
    budget_ms: Annotated[
        Budget | None,
        Option(
            "Latency to reach: p50 in ms on the table's target, measured where the target is "
            "attached. With several tables: one for all or one for each.",
            BUDGET,
            unit="ms",
            one_each=True,
        ),
    ] = None
    budget_mj: Annotated[
        Budget | None,
        Option(
            "Energy of a run to reach, in mJ, where the table's device has a counter (RAPL, NVML); "
            "measured where the target is attached.",
            BUDGET,
            unit="mJ",
        ),
    ] = None
    speedup: Annotated[
        Annotated[float, Field(gt=1, le=1000)] | None,
        Option(
            "Latency to reach as a factor: 2 is half of the base's latency. Base and candidate "
            "are timed side by side where the target is attached.",
            BUDGET,
            unit="factor",
        ),
    ] = None
    budget_macs: Annotated[
        Budget | None,
        Option("Multiply-accumulates to reach, at the table's batch.", BUDGET, unit="MACs"),
    ] = None
    budget_params: Annotated[
        Budget | None, Option("Parameters to reach.", BUDGET, unit="parameters")
    ] = None
    budget_mb: Annotated[
        Budget | None,
        Option(
            "Memory to reach, in MB (10^6 bytes): all weights and the largest activations held "
            "at once, in fp32.",
            BUDGET,
            unit="MB",
        ),
    ] = None
    min_accuracy: Annotated[
        Annotated[float, Field(allow_inf_nan=False)] | None,
        Option(
            "Instead of a budget: the walk ends before the score on the holdout becomes worse "
            "than this.",
            BUDGET,
            unit="score",
        ),
    ] = None
    initial_reduction: Annotated[
        Share,
        Option("Share of the base latency that the first iteration removes.", BUDGET, unit="share"),
    ] = 0.025
    decay: Annotated[
        Annotated[float, Field(gt=0, le=1)],
        Option(
            "Factor by which the latency reduction shrinks each iteration.", BUDGET, unit="factor"
        ),
    ] = 0.97
    short_steps: Annotated[
        Count,
        Option("Steps of each candidate's short-term fine-tune.", FINE_TUNING, unit="steps"),
    ] = 20
    short_lr: Annotated[
        Rate,
        Option("Learning rate of the short-term fine-tune, constant.", FINE_TUNING, unit="rate"),
    ] = 2e-4
    long_steps: Annotated[
        Count,
        Option("Steps of the long-term fine-tune of each chosen point.", FINE_TUNING, unit="steps"),
    ] = 1000
    long_lr: Annotated[
        Rate,
        Option("Highest learning rate of the long-term fine-tune.", FINE_TUNING, unit="rate"),
    ] = 5e-4
    qat: Annotated[
        Count,
        Option(
            "Steps of a last fine-tune of each chosen point with int8 simulated, at a tenth of the "
            "long-term rate (int8 tables only). The better file counts.",
            FINE_TUNING,
            unit="steps",
        ),
    ] = 0
    long_points: Annotated[
        Positive,
        Option(
            "Points of the front to fine-tune long; the base is fine-tuned as well.",
            FINE_TUNING,
            unit="points",
        ),
    ] = 6
    batch_size: Annotated[
        Annotated[int, Field(ge=2, le=10_000)],
        Option("Images per training step.", FINE_TUNING, unit="images"),
    ] = 8
    optimizer: Annotated[
        Literal["sgd", "adamw"], Option("Optimizer of both fine-tunes.", FINE_TUNING)
    ] = "adamw"
    strategy: Annotated[
        Strategy,
        Option(
            "What proposes and selects candidates: " + ", ".join(STRATEGIES) + ", or "
            "package.module:Class of your own.",
            STRATEGY,
        ),
    ] = "netadapt-fast"
    select: Annotated[
        Literal["accuracy", "ratio"],
        Option(
            "Which candidate an iteration keeps (strategy netadapt): the most accurate, or the "
            "one that loses least accuracy per share of the budget saved.",
            STRATEGY,
            only_for=("strategy", "netadapt"),
        ),
    ] = "accuracy"
    candidates: Annotated[
        Annotated[int, Field(ge=1, le=10_000)],
        Option(
            "Candidates per iteration (strategy random).",
            STRATEGY,
            unit="candidates",
            only_for=("strategy", "random"),
        ),
    ] = 8
    saliency_batches: Annotated[
        Annotated[int, Field(ge=1, le=100_000)],
        Option(
            "Training batches over which gradients are averaged (strategies netadapt-fast, "
            "taylor and knapsack).",
            STRATEGY,
            unit="batches",
            only_for=("strategy", "netadapt-fast", "taylor", "knapsack"),
        ),
    ] = 8
    population: Annotated[
        Annotated[int, Field(ge=4, le=10_000)],
        Option(
            "Networks per generation (strategy evolution).",
            STRATEGY,
            unit="networks",
            only_for=EVOLUTION,
        ),
    ] = 16
    generations: Annotated[
        Annotated[int, Field(ge=1, le=100_000)],
        Option(
            "Generations (strategy evolution).",
            STRATEGY,
            unit="generations",
            only_for=EVOLUTION,
        ),
    ] = 10
    recalibration_batches: Annotated[
        Annotated[int, Field(ge=1, le=100_000)],
        Option(
            "Training batches that recalibrate the batch norms of each network (strategy "
            "evolution).",
            STRATEGY,
            unit="batches",
            only_for=EVOLUTION,
        ),
    ] = 8
    importance: Annotated[
        Literal["l2", "share"] | None,
        Option(
            "Which channels of a group are kept (strategies netadapt, netadapt-fast, uniform, "
            "random and evolution): those whose filters have the largest l2 norm, or those that "
            "hold the largest share of the group's weights.",
            STRATEGY,
            usual="the strategy's own choice",
            only_for=("strategy", "netadapt", "netadapt-fast", "uniform", "random", "evolution"),
        ),
    ] = None
    lock: Annotated[tuple[Text, ...], Option(LOCK, STRATEGY, unit="PATTERN")] = ()
    allow_approximate: Annotated[bool, Option(APPROXIMATE, STRATEGY)] = False
    blocks: Annotated[bool, Option(f"{BLOCKS} (strategies netadapt, netadapt-fast).", STRATEGY)] = (
        False
    )
    channel_multiple: Annotated[
        Positive, Option("Widths are multiples of this.", STRATEGY, unit="channels")
    ] = 8
    lowest_share: Annotated[
        Share,
        Option("No group becomes narrower than this share of its width.", STRATEGY, unit="share"),
    ] = 0.125
    anchor_every: Annotated[
        Positive | None,
        Option(
            "Measure base and current network after every so many iterations, to correct the "
            "predictions.",
            STRATEGY,
            unit="iterations",
            usual="as often as measuring takes under 10 % of the search's time",
        ),
    ] = None
    seed: Annotated[Count, Option("All randomness of the search is derived from it.", STRATEGY)] = 0
    executor: Annotated[
        ExecutorName,
        Option(
            "What evaluates candidates: this process (inline) or Ray workers (ray). The result "
            "does not depend on it.",
            WHERE,
        ),
    ] = "inline"
    train_on: Annotated[
        Text,
        Option(
            "Where candidates are fine-tuned and scored (executor inline): cpu, cuda[:N] or auto.",
            WHERE,
        ),
    ] = "cpu"
    log_dir: Annotated[
        Text | None,
        Option(
            "Folder for TensorBoard: the loss of every candidate's fine-tune, a folder each.",
            OUTPUT,
            is_path=True,
            usual="no curves are written",
        ),
    ] = None
    address: Annotated[
        Text | None,
        Option(
            "Head of the Ray cluster, HOST:PORT or auto (executor ray).",
            WHERE,
            usual="workers on this machine",
            only_for=RAY,
        ),
    ] = None
    cpus_per_candidate: Annotated[
        Annotated[int, Field(ge=1, le=1024)],
        Option(
            "Cores, and threads, of each candidate (executor ray).",
            WHERE,
            unit="cores",
            only_for=RAY,
        ),
    ] = 1
    gpus_per_candidate: Annotated[
        Annotated[float, Field(ge=0, le=64)],
        Option(
            "GPUs of each candidate (executor ray); 0.25 lets four candidates share one GPU.",
            WHERE,
            unit="GPUs",
            only_for=RAY,
        ),
    ] = 0.0
    metrics: Annotated[
        tuple[Text, ...] | None,
        Option(
            "A score on the test split to report beside the one that counts; repeatable.",
            OUTPUT,
            usual="the task's own choice",
            flag="--metric",
        ),
    ] = None

    @classmethod
    def parse(cls, values: dict[str, object]) -> "SearchSettings":
        """Validate ``values``; a ``UserError`` names the first that is wrong."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise UserError(refusal(error, cls)) from None

    @classmethod
    def stored(cls, values: dict[str, object]) -> "SearchSettings":
        """Validate the settings of a run, which may be of an earlier version."""
        known = with_task_options(values)
        if "device" in known:  # the name of ``train_on`` once
            known["train_on"] = known.pop("device")
        return cls.parse(known)

    def require_trusted(self, where: object, given: Mapping[str, object]) -> None:
        """Refuse what these settings, read from a file, may not start unless the user says so.

        Args:
            where: the file, for messages.
            given: what the user has named in this call: that may be used.

        Raises:
            UserError: they name a model, task or strategy of the user's own, or a Ray cluster
                (its machines can run code here), that the user has neither named nor trusted.
        """
        from netadapt.training.checkpoint import require_trusted_model

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

    def require_used(self, given: Mapping[str, object]) -> None:
        """Raise a ``UserError`` for an option in ``given`` that means nothing to this search.

        A strategy of the user's own may read any option.
        """
        require_own(given, SearchSettings, "executor", self.executor)
        if self.strategy in STRATEGIES:
            require_own(given, SearchSettings, "strategy", self.strategy)

    @property
    def budgets(self) -> dict[Kind, float]:
        """The budgets given, by kind."""
        given: dict[Kind, float | None] = {
            "ms": self.budget_ms,
            "mj": self.budget_mj,
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
            limits["ms"] = base_ms / (self.base_share or 1.0) / self.speedup
        return Goal(limits, higher_is_better=higher_is_better)

    @model_validator(mode="after")
    def _sizes(self) -> "SearchSettings":
        if self.input_sizes:
            require_sizes(self.input_sizes)
            if self.input_size is not None or self.inputs:
                raise UserError("give --input-sizes or --input-size (or --input), not both")
            if self.min_accuracy is not None:
                raise UserError("--input-sizes takes a budget, not --min-accuracy")
        return self

    @model_validator(mode="after")
    def _gpus(self) -> "SearchSettings":
        if self.executor == "ray" and self.train_on != "cpu":
            raise UserError(
                "--train-on is an option of executor inline; give Ray's workers GPUs with "
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
