"""A search of hundreds of iterations in one process: does it keep what it should let go of?

    python benchmarks/soak.py

Writes ``benchmarks/results/soak.md``; fails if memory grows by more than 5 % after the warm-up,
or if open files or threads do. PyTorch compiles kernels for every new width and keeps the last
1024: half of the iterations, and 200 MB, before it is warm. Here it keeps 16.
"""

import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

os.environ["ONEDNN_PRIMITIVE_CACHE_CAPACITY"] = "16"

import torch
from small_search import arguments

import netadapt
from netadapt.files import write_atomic
from netadapt.latency.predictor import LatencyPredictor
from netadapt.latency.table import LatencyTable
from netadapt.search.progress import SearchProgress
from netadapt.search.state import SearchState

ITERATIONS = 300
WARM_UP = 0.1  # of the iterations
GROWTH = 0.05
RESULT = Path(__file__).parent / "results" / "soak.md"


@dataclass(frozen=True)
class Sample:
    """What the process holds after an iteration."""

    memory_mb: float
    files: int
    threads: int


def held() -> Sample:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    memory = pages * os.sysconf("SC_PAGE_SIZE") / 1e6
    return Sample(memory, len(os.listdir("/proc/self/fd")), len(os.listdir("/proc/self/task")))


class Watch(SearchProgress):
    """Takes a sample after every iteration."""

    def __init__(self) -> None:
        self.samples: list[Sample] = []
        self.candidates = 0

    def scored(self, state: SearchState, name: str) -> None:
        self.candidates += 1

    def selected(self, state: SearchState, name: str) -> None:
        self.samples.append(held())


def soak(folder: Path) -> Watch:
    given = arguments(folder)
    model = netadapt.load_model(given["model"])
    predictor = LatencyPredictor(
        netadapt.trace(model, torch.rand(1, 3, 8, 8)), LatencyTable.load(str(given["lut"]))
    )
    base = predictor({})
    narrow = predictor(dict.fromkeys(predictor.prunable.widths, 40))
    given |= {"initial_reduction": 1e-4, "decay": 1.0, "budget_ms": narrow}
    assert narrow < base
    watch = Watch()
    netadapt.search(**given, out=folder / "run", progress=watch)
    return watch


def table(samples: Sequence[Sample], candidates: int, seconds: float) -> str:
    rows = ["| iteration | memory, MB | open files | threads |", "|---|---|---|---|"]
    places = sorted({round(i * (len(samples) - 1) / 8) for i in range(9)} | {warm_up(samples)})
    for place in places:
        sample = samples[place]
        rows.append(f"| {place + 1} | {sample.memory_mb:.0f} | {sample.files} | {sample.threads} |")
    first, last = samples[warm_up(samples)], samples[-1]
    growth = 100 * (last.memory_mb / first.memory_mb - 1)
    said = (
        f"{len(samples)} iterations, {candidates} candidates, {seconds:.0f} s, inline. "
        f"Memory grew by {growth:.1f} % after iteration {warm_up(samples) + 1}. PyTorch's cache of "
        "compiled kernels was held at 16 (1024 by default: each new width adds some, and memory "
        "grew by 18 % until it was full)."
    )
    return "\n".join(["# Soak", "", "By `python benchmarks/soak.py`.", "", said, "", *rows, ""])


def warm_up(samples: Sequence[Sample]) -> int:
    return int(WARM_UP * len(samples))


def main() -> None:
    torch.set_num_threads(1)
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        watch = soak(Path(folder))
    samples = watch.samples
    text = table(samples, watch.candidates, time.perf_counter() - start)
    write_atomic(RESULT, text)
    print(text)
    first, last = samples[warm_up(samples)], samples[-1]
    enough = len(samples) >= ITERATIONS
    grown = last.memory_mb > (1 + GROWTH) * first.memory_mb
    if not enough or grown or (last.files, last.threads) > (first.files, first.threads):
        sys.exit("the bar was missed")


if __name__ == "__main__":
    main()
