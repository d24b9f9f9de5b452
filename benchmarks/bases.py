"""Train the networks that searches start from, and check that they have converged.

python benchmarks/bases.py nyu-128x160 WORK --data pairs:DIR --init-from WEIGHTS
python benchmarks/bases.py nyu-224x224 WORK --data pairs:DIR --init-from WEIGHTS
python benchmarks/bases.py rooms-96x128 WORK

Options: [--train-on cpu|cuda[:N]|auto] [--precision fp32|bf16] [--more-lr RATE]. WORK holds the
training, which goes on where it was interrupted. A base has converged when 600 more steps gain at
most 0.003 on the holdout. The history goes to benchmarks/results/bases/NAME.csv, the scores to
NAME.md beside it. rooms-96x128 also becomes the network that ``netadapt demo`` starts from, in
half precision.
"""

import argparse
import shutil
from dataclasses import dataclass, field, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from netadapt.files import write_atomic
from netadapt.training import (
    TrainConfig,
    TrainFolder,
    TrainSettings,
    compute_device,
    load_checkpoint,
    open_task,
    run_training,
    save_checkpoint,
)
from netadapt.training.settings import Precision
from netadapt.training.task import Scores, Task

RESULTS = Path(__file__).parent / "results" / "bases"
SHIPPED = Path(str(files("netadapt"))) / "depth" / "weights" / "rooms.safetensors"
MORE_STEPS = 600
HALF = [
    [16, 32, 64, 64, 128, 128, 256, 256, 256, 256, 256, 256, 512, 512],
    [256, 128, 64, 32, 16],
]  # encoder and decoder of FastDepth, half as wide
TRAINED_AS = TrainSettings(
    steps=1, optimizer="adamw", lr=2e-3, weight_decay=0.01, schedule="onecycle", ema=0.999
)


@dataclass(frozen=True)
class Base:
    """FastDepth, as it is trained for one purpose; ``data`` is None where the user gives it."""

    input_size: tuple[int, int]
    steps: int
    augmentation: str
    data: str | None = None
    options: dict[str, Any] = field(default_factory=dict)
    eval_every: int = 500
    changes: dict[str, Any] = field(default_factory=dict)  # to ``TRAINED_AS``

    def settings(self, precision: Precision | None) -> TrainSettings:
        """Return how it is trained."""
        return replace(TRAINED_AS, steps=self.steps, precision=precision, **self.changes)


BASES = {
    "nyu-128x160": Base(
        (128, 160), 8000, "strong", eval_every=1000, changes={"lr": 4e-3, "lr_of": {"conv*": 0.1}}
    ),
    "nyu-224x224": Base((224, 224), 8000, "strong", eval_every=1000),
    "rooms-96x128": Base(
        (96, 128), 18_000, "mild", "synthetic:24000", {"widths": HALF}, eval_every=3000
    ),
}


def main(arguments: list[str] | None = None) -> None:
    given = _parser().parse_args(arguments)
    base, device = BASES[given.name], compute_device(given.train_on)
    options = {"loss": "l1-log", "augmentation": base.augmentation}
    config = TrainConfig(
        model="fastdepth",
        data=base.data or given.data,
        input_size=base.input_size,
        settings=base.settings(given.precision),
        eval_every=base.eval_every,
        model_options=base.options,
        task_options=options,
        init_from=given.init_from,
    )
    task = open_task("depth", config.data, base.input_size, options)
    folder, more = given.work / given.name, given.work / f"{given.name}-{MORE_STEPS}"
    final = run_training(config, task, folder, resume=folder.exists(), device=device)
    longer = replace(
        config,
        model=str(final),
        model_options={},
        init_from=None,
        settings=replace(config.settings, steps=MORE_STEPS, lr=given.more_lr, lr_of={}),
        eval_every=MORE_STEPS,
    )
    later = run_training(longer, task, more, resume=more.exists(), device=device)
    if given.name == "rooms-96x128":
        save_checkpoint(load_checkpoint(final).half(), SHIPPED, input_size=base.input_size)
        final = SHIPPED
    RESULTS.mkdir(exist_ok=True)
    shutil.copyfile(TrainFolder(folder).history, RESULTS / f"{given.name}.csv")
    text = _table(base.steps, scored(task, final), scored(task, later))
    write_atomic(RESULTS / f"{given.name}.md", text)
    print(text, end="")


def scored(task: Task, checkpoint: Path) -> dict[str, Scores]:
    """Return the scores of a checkpoint on the holdout and on the test split."""
    model = load_checkpoint(checkpoint)
    return {"holdout": task.score(model, "holdout"), "test": task.score(model, "test")}


def _table(steps: int, first: dict[str, Scores], later: dict[str, Scores]) -> str:
    lines = ["| steps | δ1, holdout | RMSE, holdout | δ1, test | RMSE, test |", "|---" * 5 + "|"]
    for name, scores in ((str(steps), first), (f"{MORE_STEPS} more", later)):
        cells = [f"{scores[s][m]:.4f}" for s in ("holdout", "test") for m in ("delta1", "rmse")]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "".join(f"{line}\n" for line in lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("name", choices=BASES)
    parser.add_argument("work", type=Path, help="folder of the trainings")
    parser.add_argument("--data", help="for the nyu bases, such as pairs:DIR")
    parser.add_argument("--init-from", help="ImageNet weights, for the nyu bases")
    parser.add_argument("--train-on", default="cpu", help="cpu (default), cuda[:N] or auto")
    parser.add_argument("--more-lr", type=float, default=1e-3, help="of the 600 more steps")
    parser.add_argument("--precision", choices=["fp32", "bf16"], help="default: bf16 on CUDA")
    return parser


if __name__ == "__main__":
    main()
