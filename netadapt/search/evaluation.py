"""Evaluating a candidate: prune, fine-tune, score. A function of the job and nothing else."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from netadapt.search.candidate import Candidate, Proposal, Stage
from netadapt.search.problem import Problem
from netadapt.search.settings import SearchSettings
from netadapt.training.checkpoint import load_checkpoint, save_checkpoint
from netadapt.training.loop import TrainingDiverged, TrainSettings, fit


@dataclass(frozen=True)
class Job:
    """One candidate to evaluate, and all that its result depends on.

    Attributes:
        proposal: the widths.
        stage: after which fine-tune it is scored.
        parent: weights to prune, relative to the run folder.
        seed: of the fine-tune's batches.
    """

    proposal: Proposal
    stage: Stage
    parent: str
    seed: int

    @property
    def name(self) -> str:
        """The candidate's name."""
        return self.proposal.name + ("-long" if self.stage == "long" else "")

    @property
    def checkpoint(self) -> str:
        """Where the candidate's weights go, relative to the run folder."""
        return f"checkpoints/{self.name}.safetensors"


def derive_seed(run_seed: int, iteration: int, purpose: str) -> int:
    """Return the seed of one step of a run, whatever ran before it.

    Candidates of one iteration share it, so that they see the same batches.
    """
    text = f"{run_seed}/{iteration}/{purpose}".encode()
    return int.from_bytes(hashlib.sha256(text).digest()[:4], "big") >> 1


class Evaluator:
    """Evaluates jobs of one run; built anew in whichever process does the work."""

    def __init__(self, problem: Problem, folder: Path) -> None:
        self._problem = problem
        self._folder = folder
        self._parent: str | None = None

    def __call__(self, job: Job) -> Candidate:
        """Prune, fine-tune and score; the weights are written before this returns.

        A fine-tune that diverges gives a candidate with a ``failure`` and no score.
        """
        problem, proposal = self._problem, job.proposal
        task = problem.task
        if self._parent != job.parent:
            model = load_checkpoint(self._folder / job.parent)
            self._prunable = problem.prunable.descend(model)
            self._parent = job.parent
        model = self._prunable.pruned(proposal.widths, problem.settings.importance)
        failure, score, test = None, None, {}
        try:
            tuning = tune_settings(problem.settings, job.stage, job.seed)
            if tuning is not None:
                fit(model, task, tuning)
            score = task.score(model, "holdout")[task.primary]
            if job.stage != "short":
                test = dict(task.score(model, "test"))
        except TrainingDiverged as error:
            failure = str(error)
        save_checkpoint(model.eval(), self._folder / job.checkpoint, input_size=problem.input_size)
        return Candidate(
            name=job.name,
            iteration=proposal.iteration,
            stage=job.stage,
            widths=dict(proposal.widths),
            predicted_ms=proposal.predicted_ms,
            macs=problem.prunable.operations.macs(problem.prunable.vector(proposal.widths)),
            params=sum(parameter.numel() for parameter in model.parameters()),
            score=score,
            failure=failure,
            checkpoint=job.checkpoint,
            test=test,
        )


def tune_settings(settings: SearchSettings, stage: Stage, seed: int) -> TrainSettings | None:
    """Return how a candidate is fine-tuned at ``stage``; ``None`` leaves it as it is."""
    long = stage == "long"
    steps = {"base": 0, "short": settings.short_steps, "long": settings.long_steps}[stage]
    if steps == 0:
        return None
    return TrainSettings(
        steps=steps,
        batch_size=settings.batch_size,
        optimizer=settings.optimizer,
        lr=settings.long_lr if long else settings.short_lr,
        schedule="cosine" if long else "constant",
        seed=seed,
    )
