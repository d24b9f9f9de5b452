"""Evaluating a candidate: prune, fine-tune, score. A function of the job and nothing else."""

from dataclasses import dataclass
from typing import Literal

from torch import nn

from netadapt.pruning import PrunableModel, Widths
from netadapt.search.candidate import Candidate, Proposal, Stage
from netadapt.search.networks import Networks
from netadapt.search.problem import Problem
from netadapt.search.recalibration import recalibrate
from netadapt.search.saliency import Criterion
from netadapt.search.settings import SearchSettings
from netadapt.training.checkpoint import save_checkpoint
from netadapt.training.loop import TrainingDiverged, TrainSettings, fit

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
    """

    proposal: Proposal
    stage: Stage
    parent: str
    seed: int
    importance: Criterion = "l2"
    adaptation: Adaptation = "fine-tune"

    @property
    def name(self) -> str:
        """The candidate's name."""
        return self.proposal.name + ("-long" if self.stage == "long" else "")

    @property
    def checkpoint(self) -> str:
        """Where the candidate's weights go, relative to the run folder."""
        return f"checkpoints/{self.name}.safetensors"


class Evaluator:
    """Evaluates jobs of one run; built anew in whichever process does the work."""

    def __init__(self, problem: Problem, networks: Networks) -> None:
        self._problem = problem
        self._networks = networks

    def __call__(self, job: Job) -> Candidate:
        """Prune, fine-tune and score; the weights are written before this returns.

        A fine-tune that diverges gives a candidate with a ``failure`` and no score.
        """
        problem, proposal = self._problem, job.proposal
        task = problem.task
        model = self._pruned(job)
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
            params=sum(parameter.numel() for parameter in model.parameters()),
            score=score,
            failure=failure,
            checkpoint=job.checkpoint,
            test=test,
            training_samples=training_samples(problem.settings, job),
            peak_mb=self._peak_mb(proposal.widths),
        )

    def _pruned(self, job: Job) -> nn.Module:
        parent: PrunableModel = self._networks.prunable(job.parent)
        widths = job.proposal.widths
        if widths == parent.widths or job.importance == "l2":
            return parent.pruned(widths, "l2")
        scores = self._networks.scores(job.parent, job.importance, job.proposal.iteration)
        return parent.pruned(widths, scores)

    def _adapt(self, model: nn.Module, job: Job) -> None:
        settings, task = self._problem.settings, self._problem.task
        if job.adaptation == "recalibrate":
            batches = settings.recalibration_batches
            recalibrate(model, task, batches, settings.batch_size, job.seed)
            return
        tuning = tune_settings(settings, job.stage, job.seed)
        if tuning is not None:
            fit(model, task, tuning)

    def _peak_mb(self, widths: Widths) -> float | None:
        problem = self._problem
        if "mb" not in problem.settings.budgets:
            return None
        return float(problem.costs.batch("mb", problem.prunable.vector(widths)[None])[0])


def training_samples(settings: SearchSettings, job: Job) -> int:
    """Return how many training images ``job`` reads; one that diverges counts in full."""
    if job.adaptation == "recalibrate":
        return settings.recalibration_batches * settings.batch_size
    tuning = tune_settings(settings, job.stage, job.seed)
    return 0 if tuning is None else tuning.steps * tuning.batch_size


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
