"""Evaluates a candidate: prune, fine-tune, score. The result is a function of the job alone."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from netadapt.deployment.simulated import Int8Simulation, SimulatedNetwork
from netadapt.errors import UserError
from netadapt.pruning import PrunableModel
from netadapt.search.base_network import BaseNetwork
from netadapt.search.candidate import LONG, QAT, Candidate, Proposal, Stage
from netadapt.search.distillation import DistilledTask
from netadapt.search.goal import Kind
from netadapt.search.networks import Networks
from netadapt.search.recalibration import recalibrate
from netadapt.search.saliency import OF_WEIGHTS, Criterion
from netadapt.search.settings import SearchSettings
from netadapt.training.calibration import calibration_frames
from netadapt.training.checkpoint import save_checkpoint
from netadapt.training.curves import logged_steps
from netadapt.training.loop import TrainingDiverged, fit
from netadapt.training.settings import TrainSettings
from netadapt.training.task import Targets, Task
from netadapt.training.wrapped import CachedBatches, WrappedTask

Adaptation = Literal["fine-tune", "recalibrate", "qat"]

INT8_FRAMES = 32  # that set the simulated ranges of a short-term candidate
QAT_SLOWER = 10  # than the long-term fine-tune's rate


@dataclass(frozen=True)
class Job:
    """One candidate to evaluate, and all that its result depends on.

    Attributes:
        proposal: the widths.
        stage: after which fine-tune it is scored.
        parent: weights to prune, relative to the run folder.
        seed: of the batches it learns from.
        channel_order: which channels of a group go first.
        adaptation: what a ``short`` candidate gets before it is scored: its short-term
            fine-tune, or only new statistics for its batch norms. ``qat``: a ``long`` candidate is
            fine-tuned on with int8 simulated.
        teacher: weights of the network whose answers it also learns from, as ``parent``.
        accumulate: parts that each batch is split into where memory is short.
    """

    proposal: Proposal
    stage: Stage
    parent: str
    seed: int
    channel_order: Criterion = "l2"
    adaptation: Adaptation = "fine-tune"
    teacher: str | None = None
    accumulate: int = 1

    @property
    def name(self) -> str:
        """The candidate's name."""
        long = LONG if self.stage == "long" else ""
        return self.proposal.name + long + (QAT if self.adaptation == "qat" else "")

    @property
    def checkpoint(self) -> str:
        """Where the candidate's weights go, relative to the run folder."""
        return f"checkpoints/{self.name}.safetensors"


@dataclass(frozen=True)
class Outcome:
    """The result of a job. The weights are in its checkpoint.

    Attributes:
        name: of the candidate.
        score: the one that counts, on the holdout; ``None`` if the job failed.
        failure: why it failed, if it did.
        test: scores on the test split; empty for ``short`` candidates.
        training_samples: training images that were read for it, here.
    """

    name: str
    score: float | None
    failure: str | None = None
    test: Mapping[str, float] = field(default_factory=dict)
    training_samples: int = 0

    def candidate(self, job: Job, costs: Mapping[Kind, float]) -> Candidate:
        """Return the candidate. Candidates are created here only."""
        return Candidate(
            name=job.name,
            iteration=job.proposal.iteration,
            stage=job.stage,
            widths=dict(job.proposal.widths),
            predicted_ms=job.proposal.predicted_ms,
            macs=int(costs["macs"]),
            params=int(costs["params"]),
            score=self.score,
            failure=self.failure,
            checkpoint=job.checkpoint,
            test=self.test,
            training_samples=self.training_samples,
            peak_mb=costs.get("mb"),
            predicted_mj=costs.get("mj"),
        )


class Evaluator:
    """Evaluates jobs of one run on the device of ``networks``; each process has its own."""

    def __init__(self, base: BaseNetwork, networks: Networks) -> None:
        self._base = base
        self._networks = networks
        self._batches = CachedBatches(base.task, networks.device)

    def __call__(self, job: Job) -> Outcome:
        """Prune, fine-tune and score; the weights are written before this returns.

        A fine-tune that diverges gives an outcome with a ``failure`` and no score.
        """
        task, settings = self._base.task, self._base.settings
        model = self._pruned(job).to(self._networks.device)
        failure, score, test = None, None, {}
        try:
            self._adapt(model, job)
            scored = self._as_deployed(model) if job.stage == "short" else model
            score = task.score(scored, "holdout")[task.primary]
            if job.stage != "short":
                test = dict(task.score(model, "test"))
        except TrainingDiverged as error:
            failure = str(error)
        save_checkpoint(
            model.eval(), self._networks.folder / job.checkpoint, input_size=self._base.input_size
        )
        return Outcome(job.name, score, failure, test, training_samples(settings, job))

    def _as_deployed(self, model: nn.Module) -> nn.Module:
        """Return ``model`` in the precision of the target, as far as that is simulated."""
        if self._base.precision != "int8":
            return model
        return SimulatedNetwork(model, self._simulation(model))

    def _simulation(self, model: nn.Module) -> Int8Simulation:
        frames = self._frames.to(self._networks.device)
        batches = torch.split(frames, self._base.settings.batch_size)
        return Int8Simulation.observed(model, batches)

    @cached_property
    def _frames(self) -> Tensor:
        frames = calibration_frames(self._base.task, INT8_FRAMES)
        if not isinstance(frames, Tensor):
            raise UserError(
                "a search on an int8 table takes networks of one input; profile an fp32 table"
            )
        return frames

    def _pruned(self, job: Job) -> nn.Module:
        parent: PrunableModel = self._networks.prunable(job.parent)
        widths = job.proposal.widths
        if widths == parent.widths:
            return parent.pruned(widths)
        if job.channel_order in OF_WEIGHTS:
            return parent.pruned(widths, job.channel_order)
        scores = self._networks.scores(job.parent, job.channel_order, job.proposal.iteration)
        return parent.pruned(widths, scores)

    def _adapt(self, model: nn.Module, job: Job) -> None:
        settings, task = self._base.settings, self._batches
        if job.adaptation == "recalibrate":
            batches = settings.recalibration_batches
            recalibrate(model, task, batches, settings.batch_size, job.seed)
            return
        qat = job.adaptation == "qat"
        tuning = tune_settings(settings, job.stage, job.seed, job.accumulate, qat=qat)
        if tuning is not None:
            teacher = None if job.teacher is None else self._networks.teacher(job.teacher)
            learnt: Task = task if teacher is None else DistilledTask(task, teacher)
            if qat:
                learnt = QuantisedTask(learnt, self._simulation(model))
            log_dir = settings.log_dir and Path(settings.log_dir) / job.name
            with logged_steps(log_dir or None) as on_step:
                fit(model, learnt, tuning, on_step=on_step)


class QuantisedTask(WrappedTask):
    """A task whose networks learn with int8 simulated."""

    def __init__(self, task: Task, simulation: Int8Simulation) -> None:
        super().__init__(task)
        self._simulation = simulation

    def loss(self, model: nn.Module, inputs: Tensor, targets: Targets) -> Tensor:
        """As of the task, of the simulated network."""
        return self.task.loss(SimulatedNetwork(model, self._simulation), inputs, targets)


def training_samples(settings: SearchSettings, job: Job) -> int:
    """Return how many training images ``job`` reads; a job that diverges counts in full."""
    if job.adaptation == "recalibrate":
        return settings.recalibration_batches * settings.batch_size
    qat = job.adaptation == "qat"
    tuning = tune_settings(settings, job.stage, job.seed, qat=qat)
    return 0 if tuning is None else tuning.steps * tuning.batch_size


def failed(settings: SearchSettings, job: Job, failure: str) -> Outcome:
    """Return the outcome of a ``job`` that failed in its worker; it has no weights."""
    return Outcome(job.name, None, failure, training_samples=training_samples(settings, job))


def tune_settings(
    settings: SearchSettings, stage: Stage, seed: int, accumulate: int = 1, *, qat: bool = False
) -> TrainSettings | None:
    """Return how a candidate is fine-tuned at ``stage``; ``None`` leaves it as it is."""
    long = stage == "long"
    steps = {"base": 0, "short": settings.short_steps, "long": settings.long_steps}[stage]
    rate = settings.long_lr if long else settings.short_lr
    if qat:
        steps, rate = settings.qat, rate / QAT_SLOWER
    if steps == 0:
        return None
    return TrainSettings(
        steps=steps,
        batch_size=settings.batch_size,
        optimizer=settings.optimizer,
        lr=rate,
        schedule="cosine" if long else "constant",
        seed=seed,
        accumulate=accumulate,
    )
