"""What a worker is, whatever engine keeps it: a process that evaluates jobs of one run."""

import os
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from netadapt.factories import trust, trusted
from netadapt.search.candidate import Candidate
from netadapt.search.evaluation import Evaluator, Job
from netadapt.search.executors.pool import OutOfMemory
from netadapt.search.networks import Networks
from netadapt.search.problem import Problem
from netadapt.search.settings import SearchSettings

BASE = "checkpoints/0.safetensors"


@dataclass(frozen=True)
class Recipe:
    """All that a worker needs to know of a run, but for the data, which lies where it works.

    Attributes:
        settings: of the search.
        base: the base's checkpoint.
        table: the files of the latency table, by name.
        folder: where the search was started; paths in ``settings`` start there.
        import_path: where the search finds modules.
        trusted: code of the user's own that files may ask for.
    """

    settings: SearchSettings
    base: bytes
    table: Mapping[str, bytes]
    folder: str
    import_path: tuple[str, ...]
    trusted: tuple[str, ...] = ()

    @classmethod
    def of(cls, problem: Problem, base: Path) -> "Recipe":
        """Return the recipe of ``problem``, whose weights start at ``base``."""
        table = problem.table.folder
        files = {path.name: path.read_bytes() for path in table.iterdir() if path.is_file()}
        folder = str(Path.cwd())
        content, path = base.read_bytes(), tuple(sys.path)
        return cls(problem.settings, content, files, folder, path, tuple(trusted()))


class Worker:
    """Evaluates jobs one after the other, in a folder of its own; the data is opened once."""

    def __init__(self, recipe: Recipe, threads: int, device: str) -> None:
        self._threads = threads
        torch.set_num_threads(threads)
        if Path(recipe.folder).is_dir():  # on another machine there may be none
            os.chdir(recipe.folder)
        sys.path += [place for place in recipe.import_path if place not in sys.path]
        for name in recipe.trusted:
            trust(name)
        self._own = tempfile.TemporaryDirectory(prefix="netadapt-")
        self._folder = Path(self._own.name)
        table = self._folder / "lut" / Path(recipe.settings.lut).name
        table.mkdir(parents=True)
        for name, content in recipe.table.items():
            (table / name).write_bytes(content)
        self._keep({BASE: recipe.base})
        settings = recipe.settings.model_copy(update={"lut": str(table)})
        problem = Problem(settings, self._folder / BASE)
        problem.prunable, problem.costs  # noqa: B018  (built now, not in the first candidate's time)
        self._evaluate = Evaluator(problem, Networks(problem, self._folder), device)

    def lacks(self, weights: str) -> bool:
        """Whether ``weights``, relative to the run folder, must be given with a job."""
        return not (self._folder / weights).exists()

    def evaluate(self, job: Job, weights: Mapping[str, bytes]) -> tuple[Candidate, bytes]:
        """Return the candidate of ``job`` and its checkpoint.

        Args:
            job: what to do.
            weights: the checkpoints it starts from that this worker lacks, by name.

        Raises:
            OutOfMemory: there is too little here.
        """
        torch.set_num_threads(self._threads)  # each calling thread has its own number
        self._keep(weights)
        try:
            candidate = self._evaluate(job)
        except (MemoryError, RuntimeError) as error:
            if not _out_of_memory(error):
                raise
            raise OutOfMemory("out of memory") from None
        made = self._folder / candidate.checkpoint
        content = made.read_bytes()
        if job.stage != "base":
            made.unlink()
        return candidate, content

    def _keep(self, weights: Mapping[str, bytes]) -> None:
        """Write ``weights``; what was needed before is needed no more."""
        for path in (self._folder / "checkpoints").glob("*") if weights else ():
            path.unlink()
        for name, content in weights.items():
            path = self._folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)


def _out_of_memory(error: Exception) -> bool:
    told = isinstance(error, MemoryError | torch.cuda.OutOfMemoryError)
    return told or "can't allocate memory" in str(error)  # PyTorch's allocator on the CPU
