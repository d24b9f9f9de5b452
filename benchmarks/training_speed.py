"""How many images a training reads per second, in float32 and in bfloat16.

python benchmarks/training_speed.py --data DATA [--model fastdepth] [--input-size 128x160]
    [--init-from WEIGHTS] [--threads 1] [--steps 30] [--rounds 5] [--train-on cpu|cuda[:N]]

Rounds of the precisions take turns, so that a machine that slows down slows all of them. Batches
are decoded and augmented by a thread beside the step; the last column is without that work, with
batches from memory: where it is no faster, the work is hidden. On CUDA a third kind of row is
trained kernel by kernel, where the others replay a recorded step.
"""

import argparse
import statistics
import time
from pathlib import Path

import torch

from netadapt.cli.common import parse_size
from netadapt.training import TrainSettings, compute_device, fit, load_model, open_task
from netadapt.training.precision import cpu_has_bf16
from netadapt.training.task import Task
from netadapt.training.wrapped import CachedBatches

PRECISIONS = ("fp32", "bf16")


def main(arguments: list[str] | None = None) -> None:
    given = _parser().parse_args(arguments)
    if given.threads:
        torch.set_num_threads(given.threads)
    task = open_task("depth", given.data, parse_size(given.input_size))
    rates: dict[tuple[str, str], list[float]] = {}
    device = compute_device(given.train_on)
    prepared = CachedBatches(task, device)
    sources: dict[str, Task] = {"decoded": task, "from memory": prepared}
    if device.type == "cuda":
        sources["from memory, not recorded"] = by_kernel = CachedBatches(task, device)
        by_kernel.recordable = False
    both = cpu_has_bf16() or device.type == "cuda"
    for _ in range(given.rounds + 1):  # the first one warms up, and fills the memory
        for precision in PRECISIONS if both else PRECISIONS[:1]:
            for name, source in sources.items():
                rate = images_per_second(given, source, precision)
                rates.setdefault((precision, name), []).append(rate)
    print("| precision | batches | images per second, median (range) |\n|---|---|---|")
    for (precision, name), found in rates.items():
        rest = found[1:]
        middle, low, high = statistics.median(rest), min(rest), max(rest)
        print(f"| {precision} | {name} | {middle:.1f} ({low:.1f} to {high:.1f}) |")


def images_per_second(given: argparse.Namespace, task: Task, precision: str) -> float:
    """Train a fresh network for ``given.steps`` and return the images read per second."""
    torch.manual_seed(0)
    model = load_model(given.model, init_from=given.init_from)
    task.prepare(model)
    settings = TrainSettings(
        steps=given.steps,
        batch_size=given.batch_size,
        optimizer="adamw",
        lr=1e-3,
        precision=precision,  # type: ignore[arg-type]
    )
    model.to(compute_device(given.train_on))
    start = time.perf_counter()
    fit(model, task, settings)
    images: int = given.steps * given.batch_size
    return images / (time.perf_counter() - start)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--data", required=True)
    parser.add_argument("--model", default="fastdepth")
    parser.add_argument("--input-size", default="128x160")
    parser.add_argument("--init-from", type=Path)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--train-on", default="cpu")
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=5)
    return parser


if __name__ == "__main__":
    main()
