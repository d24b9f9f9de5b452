"""Methods side by side: one base, data and table; the points of each are fine-tuned alike."""

import json
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

from netadapt.files import write_atomic
from netadapt.search.candidate import Candidate
from netadapt.search.course import course_of
from netadapt.search.evaluation import Evaluator
from netadapt.search.executors.inline import InlineExecutor
from netadapt.search.jobs import BASE, Jobs
from netadapt.search.loop import Search
from netadapt.search.networks import Networks
from netadapt.search.problem import Problem
from netadapt.search.progress import SearchProgress
from netadapt.search.run_folder import RunFolder
from netadapt.search.settings import SearchSettings
from netadapt.search.sources import sources_of
from netadapt.search.strategies.base import Strategy
from netadapt.training.checkpoint import save_checkpoint
from netadapt.training.device import compute_device


@dataclass(frozen=True)
class Point:
    """One network of a method's front, fine-tuned long.

    Attributes:
        share: of the base's predicted latency that it was chosen for.
        checkpoint: its weights, relative to the arena's folder.
        samples: training images that the method read before any long fine-tune.
        seconds: what that took, scoring included.
    """

    method: str
    seed: int
    share: float
    checkpoint: str
    predicted_ms: float
    holdout: float
    test: dict[str, float]
    samples: int
    seconds: float


class Arena:
    """What all methods share, and the points found so far."""

    def __init__(self, folder: Path, settings: SearchSettings, shares: Sequence[float]) -> None:
        self.folder = folder
        self.shares = tuple(shares)
        self._settings = settings

    @property
    def points(self) -> list[Point]:
        """All points found so far, by this process or another, method by method."""
        files = sorted(self.folder.glob("*.points.json"))
        return [Point(**row) for file in files for row in json.loads(file.read_text())]

    @cached_property
    def shared(self) -> Problem:
        """The base network, traced, with its data and table."""
        return Problem(self._settings, self._settings.model)

    def problem(self, seed: int, **changes: object) -> Problem:
        """Return the problem of coming down to the last share with ``seed``."""
        shared = self.shared
        given = {**self._settings.model_dump(), "seed": seed, "budget_ms": None}
        given |= {"speedup": 1 / self.shares[-1], **changes}
        problem = Problem(SearchSettings.parse(given), self._settings.model)
        problem.table = shared.table
        base, known = problem.base, shared.base
        base.model, base.task, base.prunable = known.model, known.task, known.prunable
        return problem

    def missing(self, method: str, seed: int, shares: Sequence[float]) -> list[float]:
        """Return those of ``shares`` that ``method`` has no point for."""
        done = {p.share for p in self.points if (p.method, p.seed) == (method, seed)}
        return [share for share in shares if share not in done]

    def add(self, point: Point) -> None:
        """Keep ``point`` for good."""
        file = self.folder / f"{point.method}-{point.seed}.points.json"
        rows = json.loads(file.read_text()) if file.exists() else []
        write_atomic(file, json.dumps([*rows, asdict(point)], indent=1) + "\n")


def compete(
    arena: Arena,
    method: str,
    strategy: type[Strategy],
    problem: Problem,
    shares: Sequence[float] | None = None,
) -> None:
    """Walk down, then fine-tune the walk's point nearest to each share; go on where it stopped."""
    seed = problem.settings.seed
    missing = arena.missing(method, seed, arena.shares if shares is None else shares)
    if not missing:
        return
    path = arena.folder / f"{method}-{seed}"
    with _opened(path, problem) as folder:
        networks = Networks(problem.base, path, compute_device(problem.settings.train_on))
        evaluate = Evaluator(problem.base, networks)
        chooser = strategy(problem.settings, problem.space, networks)
        executor = InlineExecutor(evaluate)
        search = Search(problem, folder, chooser, executor, SearchProgress())
        seconds = _timed_walk(search, path / "seconds.json")
        read = search.state.training_samples() or {}
        found = course_of(problem.settings, chooser).points(search.state, search.goal)
        jobs = Jobs(problem.settings, chooser)
        for share in missing:
            wanted = share * found[0].predicted_ms
            nearest = min(found, key=lambda row: abs(row.predicted_ms - wanted))
            job = jobs.long(search.state, nearest.name)
            tuned = evaluate(job).candidate(job, nearest.costs)
            samples = read["proposing"] + read["short"]
            arena.add(_point(tuned, method, seed, share, path.name, samples, seconds))


def _point(
    tuned: Candidate,
    method: str,
    seed: int,
    share: float,
    folder: str,
    samples: int,
    seconds: float,
) -> Point:
    return Point(
        method=method,
        seed=seed,
        share=share,
        checkpoint=f"{folder}/{tuned.checkpoint}",
        predicted_ms=tuned.predicted_ms,
        holdout=float("nan") if tuned.score is None else tuned.score,
        test=dict(tuned.test),
        samples=samples,
        seconds=seconds,
    )


@contextmanager
def _opened(path: Path, problem: Problem) -> Iterator[RunFolder]:
    """Yield the run folder at ``path``, begun now or by an earlier process."""
    if (path / BASE).exists():
        folder = RunFolder.existing(path)
        with folder.locked():
            yield folder
        return
    begun = RunFolder.created(path, problem.settings, problem.base.task, sources_of(problem))
    with begun as folder, folder.locked():
        save_checkpoint(problem.base.model, path / BASE, input_size=problem.base.input_size)
        yield folder


def _timed_walk(search: Search, file: Path) -> float:
    """Walk to the goal and return the seconds that all processes have taken for it."""
    before = json.loads(file.read_text()) if file.exists() else 0.0
    start = time.perf_counter()
    try:
        search.walk()
    finally:
        seconds: float = before + time.perf_counter() - start
        write_atomic(file, json.dumps(seconds))
    return seconds
