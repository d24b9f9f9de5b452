"""The options of a training; its folder remembers them in ``config.json``."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue

from netadapt.options import DATA, INPUTS, NETWORK, OUTPUT, OUTPUT_OF, TRAINING, Option, check
from netadapt.training.schedule import Schedule

RECIPE = "the network's recipe"
DEFAULT_TASK = "depth"

Precision = Literal["fp32", "bf16"]
Optimizer = Literal["sgd", "adamw", "amsgrad"]
Count = Annotated[int, Field(ge=1, le=2**31 - 1)]
Factor = Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)]
Decay = Annotated[float, Field(ge=0, allow_inf_nan=False)]


@dataclass(frozen=True)
class TrainSettings:
    """The options of a training; the defaults are those of the FastDepth paper.

    If the network has a recipe (``netadapt.training.recipes``), its values are the defaults.

    Attributes:
        decay_every: steps between the tenfold drops of schedule ``step``; ``None``: a third of
            the run.
        accumulate: parts into which each batch is split to need less memory; their gradients are
            averaged, batch norms see the parts.
    """

    steps: Annotated[
        Count, Option("Optimizer steps.", TRAINING, unit="steps", usual="what --epochs makes")
    ]
    batch_size: Annotated[
        Annotated[int, Field(ge=2, le=10_000)],
        Option("Images per step.", TRAINING, unit="images", usual=RECIPE),
    ] = 8
    optimizer: Annotated[
        Optimizer,
        Option(
            "sgd, adamw (Adam, if the weight decay is 0) or amsgrad (AdamW with the largest second "
            "moment so far; Reddi et al., ICLR 2018).",
            TRAINING,
            usual=RECIPE,
        ),
    ] = "sgd"
    lr: Annotated[
        Annotated[float, Field(gt=0, allow_inf_nan=False)],
        Option("Highest learning rate.", TRAINING, unit="rate", usual=RECIPE),
    ] = 0.01
    momentum: Annotated[
        Annotated[float, Field(ge=0, lt=1)],
        Option("Momentum of sgd; first beta of adamw and amsgrad.", TRAINING),
    ] = 0.9
    weight_decay: Annotated[
        Decay, Option("Weight decay of all parameters.", TRAINING, usual=RECIPE)
    ] = 1e-4
    schedule: Annotated[
        Schedule,
        Option("How the learning rate changes over the run.", TRAINING, usual=RECIPE),
    ] = "step"
    decay_every: int | None = None
    seed: Annotated[
        Annotated[int, Field(ge=0, lt=2**31)],
        Option(
            "Fresh weights, order of examples, augmentation and dropout follow from it.", TRAINING
        ),
    ] = 0
    decoder_weight_decay: Annotated[
        Decay | None,
        Option(
            "Weight decay of the parameters outside the submodule named encoder.",
            TRAINING,
            usual=f"{RECIPE}, or --weight-decay",
        ),
    ] = None
    lr_of: Annotated[
        Mapping[Annotated[str, Field(min_length=1, max_length=1000)], Factor],
        Option(
            "Share of the learning rate for the parameters whose names match PATTERN, such as "
            "encoder.*=0.1 for an encoder trained before; the last match counts; repeatable.",
            TRAINING,
            unit="PATTERN=FACTOR",
            usual="1 for all",
            flag="--lr-of",
        ),
    ] = field(default_factory=dict)
    accumulate: Annotated[int, Field(ge=1)] = 1
    ema: Annotated[
        Annotated[float, Field(ge=0, lt=1)],
        Option(
            "Decay of the average of the weights over the steps, which is scored and saved in "
            "place of the weights; 0 is no average, 0.999 is usual.",
            TRAINING,
        ),
    ] = 0.0
    precision: Annotated[
        Precision | None,
        Option(
            "What a step computes in; bf16 needs a CPU with AVX512_BF16 or AMX.",
            TRAINING,
            usual="bf16 on CUDA, fp32 on the CPU",
        ),
    ] = None

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class TrainConfig:
    """Everything that a training depends on."""

    model: Annotated[
        str,
        Option(
            "Network to train: a registry name, package.module:factory or a checkpoint.",
            NETWORK,
            is_path=True,
        ),
    ]
    data: Annotated[str | None, Option(DATA, NETWORK, usual="none")]
    input_size: Annotated[
        tuple[int, int] | None,
        Option("Height and width of the network's input.", NETWORK, unit="HxW", usual=RECIPE),
    ]
    settings: TrainSettings
    eval_every: Annotated[
        Count,
        Option(
            "Steps between two scores on the holdout; the folder is written then.",
            OUTPUT,
            unit="steps",
        ),
    ] = 500
    model_options: Annotated[
        Mapping[str, Any],
        Option(
            "A keyword argument of the network's factory; repeatable.",
            NETWORK,
            unit="KEY=VALUE",
            flag="--model-option",
        ),
    ] = field(default_factory=dict)
    task: Annotated[
        str,
        Option(
            "What the network learns: depth, self-supervised, digits or package.module:factory.",
            NETWORK,
            usual=RECIPE,
        ),
    ] = DEFAULT_TASK
    task_options: Annotated[
        Mapping[str, JsonValue],
        Option(
            "An option of the task, such as its loss; repeatable.",
            NETWORK,
            unit="KEY=VALUE",
            usual=RECIPE,
            flag="--task-option",
        ),
    ] = field(default_factory=dict)
    init_from: Annotated[
        str | None,
        Option(
            "File with weights to start from, a checkpoint or timm weights: the layers that fit "
            "are loaded, the others stay fresh.",
            NETWORK,
            is_path=True,
        ),
    ] = None

    inputs: Annotated[
        tuple[str, ...],
        Option(INPUTS, NETWORK, unit="NAME=SIZES", usual="the checkpoint's own", flag="--input"),
    ] = ()
    output: Annotated[
        str | None, Option(OUTPUT_OF, NETWORK, unit="NAME", usual="the checkpoint's own, or all")
    ] = None

    def __post_init__(self) -> None:
        check(self)


@dataclass(frozen=True)
class TrainRequest:
    """Options of one call. They do not change the result, so the folder does not store them.

    ``epochs`` is stored as a number of steps.
    """

    epochs: Annotated[
        Annotated[float, Field(gt=0, le=1_000_000)] | None,
        Option(
            "How often every training example is seen; instead of --steps.",
            TRAINING,
            unit="epochs",
            usual=f"{RECIPE}; 20 for most",
        ),
    ] = None
    train_on: Annotated[
        str, Option("Where training computes: cpu, cuda[:N] or auto.", TRAINING)
    ] = "cpu"
    log_dir: Annotated[
        str | None,
        Option(
            "Folder for TensorBoard: loss and learning rate of every step, holdout scores.",
            OUTPUT,
            is_path=True,
            usual="no curves are written",
        ),
    ] = None

    def __post_init__(self) -> None:
        check(self)
