"""Where the time of a search goes: training, evaluation, and everything else (bar: <= 5 %).

python benchmarks/overhead.py --base MODEL --data DATA --lut LUT [--short-steps N] [--iterations N]

A short search of the paper's strategy, inline, with its functions timed. Time inside a timed
function that another timed one takes is the other's. Also timed: the proposals of one iteration
(bar: <= 50 ms).
"""

import argparse
import statistics
import tempfile
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest import mock

import torch
from comparison.arguments import search_parser

import netadapt
from netadapt.depth.data.dataset import DepthDataset
from netadapt.depth.task import DepthTask
from netadapt.files import write_atomic
from netadapt.search import clock, evaluation, loop, networks
from netadapt.search.journal import Journal
from netadapt.search.problem import Problem
from netadapt.search.proposals import one_group_each
from netadapt.search.settings import SearchSettings
from netadapt.search.strategies.netadapt import NetAdaptStrategy

ROUNDS = 20
PARTS: dict[str, list[tuple[object, str]]] = {
    "training": [(evaluation, "fit")],
    "evaluation": [(DepthTask, "score")],
    "decoding": [(DepthDataset, "_decoded")],
    "loading and tracing the network to cut": [(networks.Networks, "prunable")],
    "cutting": [(evaluation.Evaluator, "_pruned")],
    "writing weights": [(evaluation, "save_checkpoint")],
    "journal": [(Journal, "append")],
    "proposals": [(NetAdaptStrategy, "propose")],
    "tables and front": [(loop, "write_results"), (loop, "write_samples")],
    "measuring": [(clock, "timed_rounds")],
}
WORK = ("training", "evaluation", "decoding")
ONCE = ("measuring",)


class Stopwatch:
    """Seconds by part, each second counted once, for the innermost part that runs."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self.calls: dict[str, int] = defaultdict(int)
        self._inside = ["the rest"]
        self._since = time.perf_counter()

    def turn(self) -> None:
        now = time.perf_counter()
        self.seconds[self._inside[-1]] += now - self._since
        self._since = now

    @contextmanager
    def timing(self, part: str) -> Iterator[None]:
        self.turn()
        self._inside.append(part)
        self.calls[part] += 1
        try:
            yield
        finally:
            self.turn()
            self._inside.pop()


def timed(watch: Stopwatch, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
    def wrapper(*args: Any, **options: Any) -> Any:
        if (
            threading.current_thread() is not threading.main_thread()
        ):  # batches are made beside the training that waits for them
            watch.calls[part] += 1
            return function(*args, **options)
        with watch.timing(part):
            return function(*args, **options)

    return wrapper


def main() -> None:
    given = _parser().parse_args()
    torch.set_num_threads(1)
    settings = SearchSettings(model=given.base, data=given.data, lut=given.lut, budget_ms=1.0)
    problem = Problem(settings, given.base)
    base_ms = problem.space.cost("ms", {})
    lines = [proposals_line(problem, base_ms)]
    budget = base_ms * (1 - 0.025 * (given.iterations - 0.5))
    with tempfile.TemporaryDirectory() as folder:
        watch = Stopwatch()
        with ExitStack() as stack:
            for part, places in PARTS.items():
                for owner, name in places:
                    function = getattr(owner, name)
                    stack.enter_context(
                        mock.patch.object(owner, name, timed(watch, part, function))
                    )
            found = netadapt.search(
                given.base, data=given.data, lut=given.lut, budget_ms=budget,
                short_steps=given.short_steps, long_steps=given.long_steps, long_points=1,
                out=Path(folder) / "run",
            )  # fmt: skip
            watch.turn()
        candidates = found.summary["candidates"]
    lines.append(breakdown(watch, given, candidates))
    text = "\n\n".join(lines) + "\n"
    print(text)
    write_atomic(given.results, text)


def proposals_line(problem: Problem, base_ms: float) -> str:
    widths, space = problem.base.prunable.widths, problem.space
    seconds = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        found = one_group_each(widths, space.grid, space.costs, {"ms": 0.975 * base_ms})
        seconds.append(time.perf_counter() - start)
    return (
        f"Proposals of the first iteration ({len(found)} candidates): median "
        f"{1000 * statistics.median(seconds):.1f} ms, worst {1000 * max(seconds):.1f} ms of "
        f"{ROUNDS} (bar: 50 ms)."
    )


def breakdown(watch: Stopwatch, given: argparse.Namespace, candidates: int) -> str:
    total = sum(watch.seconds.values())
    over = total - sum(watch.seconds[part] for part in (*WORK, *ONCE))
    lines = [
        f"{candidates} candidates, {given.short_steps} short steps each, {given.long_steps} long "
        f"steps on two networks; {total:.0f} s of wall time. Outside training, evaluation "
        f"and measuring: {100 * over / total:.1f} % (bar: 5 %). Frames are "
        "decoded once each; those of training beside it, in the thread that makes the batches.\n",
        "| part | calls | s | share |",
        "| --- | --- | --- | --- |",
    ]
    for part, seconds in sorted(watch.seconds.items(), key=lambda item: -item[1]):
        calls = str(watch.calls[part] or "")
        lines.append(f"| {part} | {calls} | {seconds:.2f} | {100 * seconds / total:.2f} % |")
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = search_parser(__doc__, "overhead.md")
    parser.add_argument("--short-steps", type=int, default=20)
    parser.add_argument("--long-steps", type=int, default=100)
    parser.add_argument("--iterations", type=int, default=2)
    return parser


if __name__ == "__main__":
    main()
