"""What a worker is, whatever engine keeps it: a process that evaluates jobs of one run."""

import os
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from netadapt.factories import trust, trusted
from netadapt.search.base_network import BaseNetwork
from netadapt.search.evaluation import Evaluator, Job, Outcome
from netadapt.search.executors.pool import OutOfMemory
from netadapt.search.jobs import BASE
from netadapt.search.networks import Networks
from netadapt.search.settings import SearchSettings


@dataclass(frozen=True)
class WorkerRecipe:
    """All that a worker needs to know of a run. The data must lie where it works.

    Attributes:
        settings: of the search.
        weights: the base's checkpoint.
        batch: inputs per run on the target.
        precision: of the target.
        folder: where the search was started; paths in ``settings`` start there.
        import_path: where the search finds modules.
        trusted: code of the user's own that files may ask for.
    """

    settings: SearchSettings
    weights: bytes
    batch: int
    precision: str
    folder: str
    import_path: tuple[str, ...]
    trusted: tuple[str, ...] = ()

    @classmethod
    def of(cls, base: BaseNetwork, weights: Path) -> "WorkerRecipe":
        """Return the recipe for evaluating what is cut from ``base``, with its ``weights``."""
        content, folder, path = weights.read_bytes(), str(Path.cwd()), tuple(sys.path)
        of_target = base.batch, base.precision
        return cls(base.settings, content, *of_target, folder, path, tuple(trusted()))


class Worker:
    """Evaluates jobs one after the other, in a folder of its own; the data is opened once."""

    def __init__(self, recipe: WorkerRecipe, threads: int, device: str) -> None:
        self._threads = threads
        torch.set_num_threads(threads)
        if Path(recipe.folder).is_dir():  # on another machine there may be none
            os.chdir(recipe.folder)
        sys.path += [place for place in recipe.import_path if place not in sys.path]
        for name in recipe.trusted:
            trust(name)
        self._own = tempfile.TemporaryDirectory(prefix="netadapt-")
        self._folder = Path(self._own.name)
        self._keep({BASE: recipe.weights})
        base = BaseNetwork(recipe.settings, self._folder / BASE, recipe.batch, recipe.precision)
        base.prunable  # noqa: B018  (built now, not in the first candidate's time)
        self._evaluate = Evaluator(base, Networks(base, self._folder, device))

    def lacks(self, weights: str) -> bool:
        """Whether ``weights``, relative to the run folder, must be given with a job."""
        return not (self._folder / weights).exists()

    def evaluate(self, job: Job, weights: Mapping[str, bytes]) -> tuple[Outcome, bytes]:
        """Return the outcome of ``job`` and its checkpoint.

        Args:
            job: what to do.
            weights: the checkpoints it starts from that this worker lacks, by name.

        Raises:
            OutOfMemory: there is too little here.
        """
        torch.set_num_threads(self._threads)  # each calling thread has its own number
        self._keep(weights)
        try:
            outcome = self._evaluate(job)
        except (MemoryError, RuntimeError) as error:
            if not _out_of_memory(error):
                raise
            raise OutOfMemory("out of memory") from None
        made = self._folder / job.checkpoint
        content = made.read_bytes()
        if job.stage != "base":
            made.unlink()
        return outcome, content

    def _keep(self, weights: Mapping[str, bytes]) -> None:
        """Write ``weights`` in place of those that were needed before."""
        for path in (self._folder / "checkpoints").glob("*") if weights else ():
            path.unlink()
        for name, content in weights.items():
            path = self._folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)


def _out_of_memory(error: Exception) -> bool:
    typed = isinstance(error, MemoryError | torch.cuda.OutOfMemoryError)
    return typed or "can't allocate memory" in str(error)  # PyTorch's allocator on the CPU
