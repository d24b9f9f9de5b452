"""Monocular depth as a task."""

from functools import lru_cache
from typing import ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from netadapt.data import DepthData, open_data
from netadapt.errors import UserError
from netadapt.models import FastDepth
from netadapt.training.losses import LOSSES
from netadapt.training.metrics import METRICS, DepthScores
from netadapt.training.task import Scores, Split, Targets, Task, evaluating
from netadapt.training.trial import trial_run

EVALUATION_BATCH = 16
STATISTICS_EXAMPLES = 64


class DepthTask(Task):
    """Metric depth from one photograph, scored by delta1.

    Args:
        data: the splits, at one input size.
        loss: ``l1`` or ``berhu``.

    Raises:
        UserError: an unknown loss.
    """

    name: ClassVar[str] = "depth"
    primary: ClassVar[str] = "delta1"
    higher_is_better: ClassVar[bool] = True
    metrics: ClassVar[tuple[str, ...]] = METRICS

    def __init__(self, data: DepthData, loss: str = "l1") -> None:
        if loss not in LOSSES:
            raise UserError(f"unknown loss {loss!r}; known: {', '.join(LOSSES)}")
        self.data = data
        self.spec = data.spec
        self.input_size = data.input_size
        self._loss = LOSSES[loss]

    def train_batch(self, draw: int, batch_size: int, seed: int) -> tuple[Tensor, Tensor]:
        """Return RGB ``(N, 3, H, W)`` and depth ``(N, 1, H, W)``; epochs follow without a gap."""
        size = len(self.data.train)
        examples = []
        for place in range(draw * batch_size, (draw + 1) * batch_size):
            epoch, position = divmod(place, size)
            index = int(_order(size, seed, epoch)[position])
            augmentation = np.random.default_rng([seed, epoch, index])
            examples.append(self.data.train.training_example(index, augmentation))
        return _stacked([rgb for rgb, _ in examples]), _stacked([depth for _, depth in examples])

    def batches_per_epoch(self, batch_size: int) -> int:
        """How many batches show every training example about once."""
        return max(1, round(len(self.data.train) / batch_size))

    def loss(self, model: nn.Module, inputs: Tensor, targets: Targets) -> Tensor:
        """The chosen loss, in float32 whatever the network computes in."""
        assert isinstance(targets, Tensor)
        return self._loss(model, inputs, targets)

    def score(self, model: nn.Module, split: Split) -> Scores:
        """The metrics of :class:`~netadapt.training.metrics.DepthScores` on a split.

        Raises:
            UserError: the network's output is not one depth map of the input's size, or no
                image of the split has ground truth.
        """
        dataset = self.data.holdout if split == "holdout" else self.data.test
        device = next(model.parameters()).device
        scores = DepthScores()
        with evaluating(model):
            for start in range(0, len(dataset), EVALUATION_BATCH):
                batch = range(start, min(start + EVALUATION_BATCH, len(dataset)))
                examples = [dataset.evaluation_example(index) for index in batch]
                depth = _stacked([depth for _, depth in examples]).to(device)
                outputs = model(_stacked([rgb for rgb, _ in examples]).to(device))
                _require_shape(model, outputs, tuple(depth.shape))
                scores.add(outputs, depth)
        if not scores.images:
            raise UserError(f"data {self.spec}: no image of the {split} split has ground truth")
        return scores.average()

    def check(self, model: nn.Module) -> None:
        """Raise a ``UserError`` unless ``model`` answers an image with a depth map of its size."""
        outputs = trial_run(model, torch.zeros(1, *self.input_shape))
        _require_shape(model, outputs, (1, 1, *self.input_size))

    def prepare(self, model: nn.Module) -> None:
        """Give FastDepth's head the mean and deviation of the training depths."""
        if not isinstance(model, FastDepth):
            return
        train = self.data.train
        picks = np.linspace(0, len(train) - 1, min(len(train), STATISTICS_EXAMPLES)).astype(int)
        depths = np.concatenate([train.evaluation_example(int(i))[1].ravel() for i in picks])
        depths = depths[depths > 0]
        if not len(depths):
            raise UserError(f"data {self.spec}: the training images have no ground truth")
        model.set_depth_statistics(float(depths.mean()), float(depths.std()))


def open_depth_task(spec: str, input_size: tuple[int, int], *, loss: str = "l1") -> DepthTask:
    """Open data by its ``--data`` word; raises what ``open_data`` and :class:`DepthTask` do."""
    return DepthTask(open_data(spec, input_size), loss)


@lru_cache(maxsize=4)
def _order(size: int, seed: int, epoch: int) -> NDArray[np.int64]:
    return np.random.default_rng([seed, epoch]).permutation(size)


def _stacked(arrays: list[NDArray[np.float32]]) -> Tensor:
    return torch.from_numpy(np.stack(arrays))


def _require_shape(model: nn.Module, outputs: object, expected: tuple[int, ...]) -> None:
    if not isinstance(outputs, Tensor) or outputs.shape != expected:
        raise UserError(
            f"a depth network answers with {expected} to this data; "
            f"{type(model).__name__} answers with {_described(outputs)}"
        )


def _described(outputs: object) -> str:
    return str(tuple(outputs.shape)) if isinstance(outputs, Tensor) else type(outputs).__name__
