"""What workers on Ray gain and cost.

    python benchmarks/executors.py [--seconds 5]

Three figures, written to ``benchmarks/results/executors.md``: how much faster two workers of one
thread are than one; what the engine adds to a candidate; and a simulated iteration of 1,000
candidates over 64 workers that die at every twentieth. Needs two idle cores.
"""

import argparse
import os
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import torch
from small_search import arguments

from netadapt.files import write_atomic
from netadapt.search.candidate import Proposal
from netadapt.search.evaluation import Evaluator, Job
from netadapt.search.executors.pool import Pool, WorkerFault
from netadapt.search.executors.ray import open_ray
from netadapt.search.journal import Retried
from netadapt.search.networks import Networks
from netadapt.search.problem import Problem
from netadapt.search.progress import SearchProgress
from netadapt.search.settings import SearchSettings

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "search"))

from test_executors import MadeUpCrew, candidate, job

BASE = "checkpoints/0.safetensors"
CANDIDATES = 8
RESULT = Path(__file__).parent / "results" / "executors.md"


def jobs(problem: Problem, start: int) -> list[Job]:
    """Candidates of equal cost: their widths and seeds differ, their number of steps does not."""
    widths = dict(problem.prunable.widths)
    group = next(iter(widths))
    return [
        Job(
            Proposal(
                name=f"1-{number}",
                iteration=1,
                group=group,
                widths=widths | {group: widths[group] - 8},
                predicted_ms=1.0,
            ),
            "short",
            BASE,
            seed=number,
        )
        for number in range(start, start + CANDIDATES)
    ]


def steps_for(given: dict[str, object], folder: Path, seconds: float) -> int:
    """How many steps of fine-tuning take ``seconds`` here."""
    problem = Problem(SearchSettings.parse(given | {"short_steps": 200}), str(given["model"]))
    evaluate = Evaluator(problem, Networks(problem, folder))
    evaluate(jobs(problem, 0)[0])
    start = time.perf_counter()
    evaluate(jobs(problem, 0)[1])
    return max(1, round(200 * seconds / (time.perf_counter() - start)))


def inline_seconds(problem: Problem, folder: Path) -> float:
    evaluate = Evaluator(problem, Networks(problem, folder))
    evaluate(jobs(problem, 0)[0])
    start = time.perf_counter()
    for asked in jobs(problem, 100):
        evaluate(asked)
    return time.perf_counter() - start


def ray_seconds(problem: Problem, folder: Path, workers: int) -> float:
    """The time of ``CANDIDATES`` candidates, once the workers are warm."""
    import ray

    ray.init(address="local", num_cpus=workers, include_dashboard=False, log_to_driver=False)
    try:
        pool = open_ray(problem, folder, SearchProgress())
        list(pool.map(jobs(problem, 0)))
        start = time.perf_counter()
        list(pool.map(jobs(problem, 100)))
        seconds = time.perf_counter() - start
        pool.close()
    finally:
        ray.shutdown()
    return seconds


def simulated() -> tuple[Counter[str], int]:
    """How often each of 1,000 candidates was scored, and how many attempts were made again."""
    rng = random.Random(0)
    died = WorkerFault("its worker died")
    crew = MadeUpCrew(64, lambda asked, _: died if rng.random() < 0.05 else rng.uniform(3, 7))
    pool = Pool(crew, candidate, 8, SearchProgress())
    outcomes = list(pool.map([job(number) for number in range(1000)]))
    retried = sum(isinstance(outcome, Retried) for outcome in outcomes)
    scored = Counter(o.name for o in outcomes if not isinstance(o, Retried) and o.score is not None)
    return scored, retried


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=5.0, help="of a candidate")
    seconds = parser.parse_args().seconds
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        given = arguments(folder) | {"budget_ms": 20.0}
        (folder / "checkpoints").mkdir()
        shutil.copy(str(given["model"]), folder / BASE)
        steps = steps_for(given, folder, seconds)
        problem = Problem(SearchSettings.parse(given | {"short_steps": steps}), str(given["model"]))
        alone = inline_seconds(problem, folder)
        one, two = (ray_seconds(problem, folder, workers) for workers in (1, 2))
    scored, retried = simulated()
    gain, overhead = one / two, 100 * (one / alone - 1)
    each = alone / CANDIDATES
    rows = [
        "# Executors",
        "",
        "By `python benchmarks/executors.py`.",
        "",
        "| | measured | bar |",
        "|---|---|---|",
        f"| two workers of 1 thread against one, {CANDIDATES} candidates of {each:.1f} s | "
        f"{gain:.2f} times | ≥ 1.7 times |",
        f"| engine's share of a candidate of {each:.1f} s | {overhead:.1f} % | ≤ 5 % |",
        f"| 1,000 candidates, 64 workers, 5 % deaths (simulated; {retried} made again): "
        f"scored once | {sum(times == 1 for times in scored.values())} | 1000 |",
        "",
    ]
    text = "\n".join(rows)
    write_atomic(RESULT, text)
    print(text)
    once = len(scored) == 1000 and set(scored.values()) == {1}
    if gain < 1.7 or overhead > 5 or not once:
        sys.exit("a bar was missed")


if __name__ == "__main__":
    main()
