"""The networks that candidates are cut from, and how much their channels matter."""

from pathlib import Path

import torch

from netadapt.pruning import PrunableModel
from netadapt.search.base_network import BaseNetwork
from netadapt.search.distillation import Teacher
from netadapt.search.saliency import Criterion, Scores, channel_scores, reads_data
from netadapt.search.seeds import derive_seed
from netadapt.training.checkpoint import load_pruned


class Networks:
    """Loads the weights of a run; the last network asked for, and its scores, are kept.

    Args:
        base: the network that all others are cut from.
        folder: of the run.
        device: where candidates are trained and scored, and channels are scored.
    """

    def __init__(self, base: BaseNetwork, folder: Path, device: torch.device | str = "cpu") -> None:
        self.folder = folder
        self.device = torch.device(device)
        self._base = base
        self._name: str | None = None
        self._teacher_name: str | None = None
        self._scores: dict[tuple[Criterion, int], Scores] = {}

    def prunable(self, checkpoint: str) -> PrunableModel:
        """Return the network in ``checkpoint``, a path relative to the run folder."""
        if self._name != checkpoint:
            base = self._base.prunable
            self._prunable = base.descend(load_pruned(self.folder / checkpoint, base))
            self._name = checkpoint
            self._scores = {}
        return self._prunable

    def teacher(self, checkpoint: str) -> Teacher:
        """Return the network in ``checkpoint`` to learn from; the last one is kept."""
        if self._teacher_name != checkpoint:
            self._teacher = Teacher(load_pruned(self.folder / checkpoint, self._base.prunable))
            self._teacher_name = checkpoint
        return self._teacher

    def scores(self, checkpoint: str, criterion: Criterion, iteration: int) -> Scores:
        """Return ``{group: (channels,)}`` scores of the network in ``checkpoint``.

        A function of its arguments and the run's settings; the batches are those of ``iteration``.
        """
        prunable = self.prunable(checkpoint)
        key = (criterion, iteration)
        if key not in self._scores:
            settings = self._base.settings
            self._scores[key] = channel_scores(
                prunable,
                criterion,
                self._base.task,
                device=self.device,
                batches=settings.saliency_batches,
                batch_size=settings.batch_size,
                seed=derive_seed(settings.seed, iteration, "saliency"),
            )
        return self._scores[key]

    def scoring_samples(self, criterion: Criterion | None) -> int:
        """How many training images ``scores`` reads."""
        settings = self._base.settings
        return (
            settings.saliency_batches * settings.batch_size
            if criterion and reads_data(criterion)
            else 0
        )
