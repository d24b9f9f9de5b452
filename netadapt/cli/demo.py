"""``netadapt demo``: the whole way in a few minutes, on procedural rooms."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from netadapt.cli.common import say

INPUT_SIZE = "96x128"
DATA = "synthetic:400"
BUDGET_SHARE = 0.4


def demo(
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Folder for everything that the demo makes.")
    ] = Path("demo"),
) -> None:
    """Train, profile, search, plot: every step is a command you could have typed.

    An interrupted demo goes on where it stopped.
    """
    from netadapt.cli.models import load_with_input
    from netadapt.cli.plot import plot
    from netadapt.cli.profile_lut import measure_table
    from netadapt.cli.search import search
    from netadapt.cli.train import train
    from netadapt.latency.predictor import LatencyPredictor
    from netadapt.latency.table import LatencyTable
    from netadapt.profiling.devices import load_device
    from netadapt.profiling.runtimes import load_runtime
    from netadapt.pruning import trace

    training, lut, run = out / "base", out / "lut", out / "run"
    base = training / "model.safetensors"
    if not base.exists():
        _shown(
            f"train --model fastdepth --data {DATA} --input-size {INPUT_SIZE} --steps 600 "
            f"--optimizer adamw --lr 2e-3 --schedule onecycle --eval-every 300 --out {training}"
        )
        train(
            out=training, model="fastdepth", data=DATA, input_size=INPUT_SIZE, steps=600,
            optimizer="adamw", lr=2e-3, schedule="onecycle", eval_every=300,
            resume=(training / "config.json").exists(),
        )  # fmt: skip
    target = load_device("cpu").target(load_runtime("onnxruntime"))
    table = lut / target.slug
    if not (table / "validation.csv").exists():
        _shown(f"profile-lut --device cpu --model {base} --lut {lut}")
        measure_table(str(base), lut=str(lut))
    if not (run / "run.json").exists():
        model, example = load_with_input(str(base), None)
        predictor = LatencyPredictor(trace(model, example), LatencyTable.load(table))
        budget = float(f"{BUDGET_SHARE * predictor({}):.3g}")
        _shown(
            f"search --checkpoint {base} --data {DATA} --lut {table} --budget-ms {budget} "
            "--short-steps 5 --long-steps 30 --long-points 10 --long-lr 2e-4 "
            f"--initial-reduction 0.08 --decay 0.98 --out {run}"
        )
        search(
            checkpoint=str(base), data=DATA, lut=[str(table)], budget_ms=[budget], short_steps=5,
            long_steps=30, long_points=10, long_lr=2e-4, initial_reduction=0.08, decay=0.98,
            out=run,
        )  # fmt: skip
    else:
        _shown(f"search --resume --out {run}")
        search(out=run, resume=True)
    _shown(f"plot {run}")
    plot([run])
    say(f"\nThe front is {run / 'pareto.csv'}, its picture {run / 'plots' / 'front.png'}.")
    say(f"The page to look at is {run / 'report.html'}.")


def _shown(command: str) -> None:
    say(f"\n$ netadapt {' '.join(map(shlex.quote, command.split()))}")
