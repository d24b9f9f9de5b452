"""Evaluating a candidate: prune, fine-tune, score. A function of the job and nothing else."""

from dataclasses import dataclass
from typing import Literal

from torch import nn

from netadapt.pruning import PrunableModel, Widths
from netadapt.search.candidate import Candidate, Proposal, Stage
from netadapt.search.distillation import DistilledTask
from netadapt.search.networks import Networks
from netadapt.search.problem import Problem
from netadapt.search.recalibration import recalibrate
from netadapt.search.saliency import OF_WEIGHTS, Criterion
from netadapt.search.settings import SearchSettings
from netadapt.training.checkpoint import save_checkpoint
from netadapt.training.loop import TrainingDiverged, TrainSettings, fit
from netadapt.training.wrapped import KeptBatches

Adaptation = Literal["fine-tune", "recalibrate"]


@dataclass(frozen=True)
class Job:
    """One candidate to evaluate, and all that its result depends on.

    Attributes:
        proposal: the widths.
        stage: after which fine-tune it is scored.
        parent: weights to prune, relative to the run folder.
        seed: of the batches it learns from.
        importance: which channels of a group go first.
        adaptation: what a ``short`` candidate gets before it is scored: its short-term
            fine-tune, or only the statistics of its batch norms.
        teacher: weights of the network whose answers it also learns from, as ``parent``.
        accumulate: parts that each batch is taken in, for want of memory.
    """

    proposal: Proposal
    stage: Stage
    parent: str
    seed: int
    importance: Criterion = "l2"
    adaptation: Adaptation = "fine-tune"
    teacher: str | None = None
    accumulate: int = 1

    @property
    def name(self) -> str:
        """The candidate's name."""
        return self.proposal.name + ("-long" if self.stage == "long" else "")

    @property
    def checkpoint(self) -> str:
        """Where the candidate's weights go, relative to the run folder."""
        return f"checkpoints/{self.name}.safetensors"


class Evaluator:
    """Evaluates jobs of one run, on ``device``; built anew in whichever process does the work."""

    def __init__(self, problem: Problem, networks: Networks, device: str = "cpu") -> None:
        self._problem = problem
        self._networks = networks
        self._device = device
        self._batches = KeptBatches(problem.task, device)

    def __call__(self, job: Job) -> Candidate:
        """Prune, fine-tune and score; the weights are written before this returns.

        A fine-tune that diverges gives a candidate with a ``failure`` and no score.
        """
        problem, proposal = self._problem, job.proposal
        task = problem.task
        model = self._pruned(job).to(self._device)
        failure, score, test = None, None, {}
        try:
            self._adapt(model, job)
            score = task.score(model, "holdout")[task.primary]
            if job.stage != "short":
                test = dict(task.score(model, "test"))
        except TrainingDiverged as error:
            failure = str(error)
        save_checkpoint(
            model.eval(), self._networks.folder / job.checkpoint, input_size=problem.input_size
        )
        return Candidate(
            name=job.name,
            iteration=proposal.iteration,
            stage=job.stage,
            widths=dict(proposal.widths),
            predicted_ms=proposal.predicted_ms,
            macs=problem.prunable.operations.macs(problem.prunable.vector(proposal.widths)),
            params=problem.prunable.parameter_count(proposal.widths),
            score=score,
            failure=failure,
            checkpoint=job.checkpoint,
            test=test,
            training_samples=training_samples(problem.settings, job),
            peak_mb=peak_mb(problem, proposal.widths),
        )

    def _pruned(self, job: Job) -> nn.Module:
        parent: PrunableModel = self._networks.prunable(job.parent)
        widths = job.proposal.widths
        if widths == parent.widths:
            return parent.pruned(widths)
        if job.importance in OF_WEIGHTS:
            return parent.pruned(widths, job.importance)
        scores = self._networks.scores(job.parent, job.importance, job.proposal.iteration)
        return parent.pruned(widths, scores)

    def _adapt(self, model: nn.Module, job: Job) -> None:
        settings, task = self._problem.settings, self._batches
        if job.adaptation == "recalibrate":
            batches = settings.recalibration_batches
            recalibrate(model, task, batches, settings.batch_size, job.seed)
            return
        tuning = tune_settings(settings, job.stage, job.seed, job.accumulate)
        if tuning is not None:
            teacher = None if job.teacher is None else self._networks.teacher(job.teacher)
            fit(model, task if teacher is None else DistilledTask(task, teacher), tuning)


def peak_mb(problem: Problem, widths: Widths) -> float | None:
    """Return the memory of a candidate, in 10^6 bytes, where there is a budget for it."""
    if "mb" not in problem.settings.budgets:
        return None
    return float(problem.costs.batch("mb", problem.prunable.vector(widths)[None])[0])


def training_samples(settings: SearchSettings, job: Job) -> int:
    """Return how many training images ``job`` reads; one that diverges counts in full."""
    if job.adaptation == "recalibrate":
        return settings.recalibration_batches * settings.batch_size
    tuning = tune_settings(settings, job.stage, job.seed)
    return 0 if tuning is None else tuning.steps * tuning.batch_size


def failed_candidate(problem: Problem, job: Job, failure: str) -> Candidate:
    """Return the candidate of a ``job`` that could not be evaluated; it has no weights."""
    widths = job.proposal.widths
    row = problem.prunable.vector(widths)[None]
    return Candidate(
        name=job.name,
        iteration=job.proposal.iteration,
        stage=job.stage,
        widths=dict(widths),
        predicted_ms=job.proposal.predicted_ms,
        macs=int(problem.costs.batch("macs", row)[0]),
        params=int(problem.costs.batch("params", row)[0]),
        score=None,
        failure=failure,
        checkpoint=job.checkpoint,
        training_samples=training_samples(problem.settings, job),
        peak_mb=peak_mb(problem, widths),
    )


def tune_settings(
    settings: SearchSettings, stage: Stage, seed: int, accumulate: int = 1
) -> TrainSettings | None:
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
        accumulate=accumulate,
    )
