"""Candidates that another target's search has already evaluated."""

import hashlib
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from netadapt.files import replacing, write_atomic
from netadapt.search.evaluation import Job, Outcome
from netadapt.search.executors.base import Executor
from netadapt.search.journal import Retried
from netadapt.search.settings import SearchSettings

# what a candidate's weights and scores depend on, besides its job
SHARED_SETTINGS = {
    "task", "data", "task_options", "input_size", "inputs", "output", "batch_size",
    "optimizer", "short_steps", "short_lr", "long_steps", "long_lr", "saliency_batches",
    "recalibration_batches", "seed",
}  # fmt: skip
_OUTCOME = TypeAdapter(Outcome)


class SharingExecutor(Executor):
    """Looks up the scores of sibling runs before ``inner`` evaluates a job.

    Scores are kept, weights are not: those of a candidate that another run scored and dropped are
    made again if it is picked here. (They come out the same: on the CPU, bit for bit.)

    Args:
        inner: evaluates what nobody has.
        settings: of this run.
        folder: of this run.
        shared: a folder that the siblings share: one file per candidate, named after all that the
            candidate depends on.
    """

    def __init__(
        self, inner: Executor, settings: SearchSettings, folder: Path, shared: Path
    ) -> None:
        self._inner = inner
        self._settings = settings
        self._folder = folder
        self._shared = shared

    def map(self, jobs: Sequence[Job]) -> Iterator[Outcome | Retried]:
        """Yield the outcomes that are known, then those of ``inner``."""
        digests: dict[str, str] = {}
        keys = {job.name: self._key(job, digests) for job in jobs}
        unknown = []
        for job in jobs:
            known = self._known(job, keys[job.name])
            if known is None:
                unknown.append(job)
            else:
                yield known
        for outcome in self._inner.map(unknown):
            if isinstance(outcome, Outcome) and outcome.failure is None:
                self._share(keys[outcome.name], outcome)
            yield outcome

    def keep(self, job: Job) -> None:
        """Train the weights of a picked candidate again, if only its score is known."""
        if not (self._folder / job.checkpoint).exists():
            for _ in self._inner.map([job]):
                pass

    @property
    def draining(self) -> bool:  # type: ignore[override]
        """Whether it starts no further jobs."""
        return self._inner.draining

    def drain(self) -> None:
        """Start no further job; those in progress are finished."""
        self._inner.drain()

    def close(self) -> None:
        """Free the resources of ``inner``."""
        self._inner.close()

    def _key(self, job: Job, digests: dict[str, str]) -> str:
        for weights in (job.parent, job.teacher):
            if weights is not None and weights not in digests:
                content = (self._folder / weights).read_bytes()
                digests[weights] = hashlib.sha256(content).hexdigest()
        settings = self._settings.model_dump_json(include=SHARED_SETTINGS)
        widths = sorted(job.proposal.widths.items())
        facts = (
            settings, widths, job.stage, job.seed, job.channel_order, job.adaptation,
            job.accumulate, job.proposal.iteration, digests[job.parent],
            digests.get(job.teacher or ""),
        )  # fmt: skip
        return hashlib.sha256(repr(facts).encode()).hexdigest()

    def _known(self, job: Job, key: str) -> Outcome | None:
        try:
            owner, text = (self._shared / f"{key}.json").read_text("utf-8").split("\n", 1)
            found = _OUTCOME.validate_json(text)
        except (OSError, ValueError, ValidationError):  # nobody's, or damaged: evaluate it
            return None
        weights = self._shared.parent / owner / "checkpoints" / f"{found.name}.safetensors"
        here = self._folder / job.checkpoint
        if weights.exists():
            with replacing(here) as temporary:
                shutil.copyfile(weights, temporary)
        elif (job.stage != "short" or job.adaptation != "fine-tune") and not here.exists():
            return None  # it may go on without being picked: its weights are needed
        return replace(found, name=job.name, training_samples=0)  # none were read here

    def _share(self, key: str, outcome: Outcome) -> None:
        self._shared.mkdir(exist_ok=True)
        text = f"{self._folder.name}\n{_OUTCOME.dump_json(outcome).decode()}"
        write_atomic(self._shared / f"{key}.json", text)
