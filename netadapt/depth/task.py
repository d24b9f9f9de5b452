"""Monocular depth as a task."""

from collections.abc import Mapping
from dataclasses import asdict
from itertools import groupby
from typing import Protocol, get_args, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from netadapt.depth.data import DepthData, DepthDataset, open_data
from netadapt.depth.data.spec import OnBadSample, files_of
from netadapt.depth.data.transforms import AUGMENTATIONS, Example
from netadapt.depth.losses import LOSSES
from netadapt.depth.metrics import METRICS, DepthScores
from netadapt.depth.protocols import DEFAULT, compared, predicted, protocol_named
from netadapt.depth.samples import depth_samples
from netadapt.errors import UserError
from netadapt.image_sizes import parse_size
from netadapt.training.order import drawn
from netadapt.training.task import Samples, Scores, Split, Targets, Task, evaluating
from netadapt.training.trial import trial_run

EVALUATION_BATCH = 16
STATISTICS_EXAMPLES = 64


@runtime_checkable
class TellsDepthStatistics(Protocol):
    """A network whose fresh head starts from the depths of the data."""

    def set_depth_statistics(self, mean: float, std: float) -> None:
        """Answer with this mean and deviation, metres, if the head was never trained."""
        ...


class DepthTask(Task):
    """Metric depth from one photograph, scored by delta1.

    Args:
        data: the splits, at one input size.
        loss: a name in ``LOSSES``.
        protocol: how predictions are scored, a name in ``PROTOCOLS``.

    Raises:
        UserError: an unknown loss or protocol.
    """

    name = "depth"
    primary = "delta1"
    higher_is_better = True
    metrics = METRICS
    reported = ("rmse",)
    recordable = True

    def __init__(self, data: DepthData, loss: str = "l1", protocol: str = DEFAULT) -> None:
        if loss not in LOSSES:
            raise UserError(f"unknown loss {loss!r}; known: {', '.join(LOSSES)}")
        self.data = data
        self.spec, self.note = data.spec, data.note
        self.input_size = data.input_size
        self.data_files = files_of(data.spec)
        self.protocol = protocol_named(protocol)
        self.scoring = {"protocol": asdict(self.protocol)}
        self._loss = LOSSES[loss]

    def train_batch(self, draw: int, batch_size: int, seed: int) -> tuple[Tensor, Tensor]:
        """Return RGB ``(N, 3, H, W)`` and depth ``(N, 1, H, W)``; epochs follow without a gap."""
        train = self.data.train
        examples = [
            train.training_example(index, np.random.default_rng([seed, epoch, index]))
            for epoch, index in drawn(len(train), draw, batch_size, seed)
        ]
        return _stacked([rgb for rgb, _ in examples]), _stacked([depth for _, depth in examples])

    def batches_per_epoch(self, batch_size: int) -> int:
        """How many batches show every training example about once."""
        return max(1, round(len(self.data.train) / batch_size))

    def loss(self, model: nn.Module, inputs: Tensor, targets: Targets) -> Tensor:
        """The chosen loss, in float32 whatever the network computes in."""
        assert isinstance(targets, Tensor)
        return self._loss(model, inputs, targets)

    def score(self, model: nn.Module, split: Split) -> Scores:
        """The metrics of :class:`~netadapt.depth.metrics.DepthScores` on a split.

        Predictions of another size than the ground truth are interpolated to it.

        Raises:
            UserError: the network's output is not one depth map, or no image of the split has
                ground truth that counts.
        """
        dataset = self.data.holdout if split == "holdout" else self.data.test
        scores = DepthScores()
        with evaluating(model):
            for start in range(0, len(dataset), EVALUATION_BATCH):
                batch = range(start, min(start + EVALUATION_BATCH, len(dataset)))
                self._score_batch(model, [self._seen(dataset, index) for index in batch], scores)
        if not scores.images:
            raise UserError(f"data {self.spec}: no image of the {split} split has ground truth")
        return scores.average()

    def _seen(self, dataset: DepthDataset, index: int) -> Example:
        if self.protocol.view == "full":
            return dataset.full_example(index)
        return dataset.scored_example(index)

    def _score_batch(self, model: nn.Module, examples: list[Example], scores: DepthScores) -> None:
        """Predict all at once, and compare those together whose ground truth is of one size."""
        device = next(model.parameters()).device

        def answer(images: Tensor) -> Tensor:
            outputs: Tensor = model(images)
            _require_depth(model, outputs, images)
            return outputs

        images = _stacked([rgb for rgb, _ in examples]).to(device)
        rest = predicted(answer, images, self.protocol)
        for _, truths in groupby((depth for _, depth in examples), np.shape):
            depth = _stacked(list(truths)).to(device)
            scores.add(*compared(rest[: len(depth)], depth, self.protocol))
            rest = rest[len(depth) :]

    def check(self, model: nn.Module) -> None:
        """Raise a ``UserError`` unless ``model`` answers an image with one depth map."""
        image = torch.zeros(1, *self.input_shape)
        _require_depth(model, trial_run(model, image), image)

    def samples(self, networks: Mapping[str, nn.Module]) -> Samples:
        """Three test images with ground truth, and each network's depth in metres."""
        return depth_samples(self.data.test, networks)

    def prepare(self, model: nn.Module) -> None:
        """Give a fresh head that asks for them the mean and deviation of the training depths."""
        if not isinstance(model, TellsDepthStatistics):
            return
        train = self.data.train
        picks = np.linspace(0, len(train) - 1, min(len(train), STATISTICS_EXAMPLES)).astype(int)
        depths = np.concatenate([train.evaluation_example(int(i))[1].ravel() for i in picks])
        depths = depths[depths > 0]
        if not len(depths):
            raise UserError(f"data {self.spec}: the training images have no ground truth")
        model.set_depth_statistics(float(depths.mean()), float(depths.std()))


def open_depth(
    data: str | None,
    input_size: tuple[int, int] | None,
    *,
    loss: str = "l1",
    protocol: str = DEFAULT,
    on_bad_sample: OnBadSample = "fail",
    augmentation: str = "paper",
    truth_size: str | None = None,
) -> DepthTask:
    """Open depth data by its ``--data`` word.

    Args:
        data: ``synthetic[:N]``, ``nyu:DIR``, ``pairs:DIR`` and so on.
        input_size: ``(H, W)`` of the network's inputs.
        loss: a name in ``LOSSES``.
        protocol: how predictions are scored, a name in ``PROTOCOLS``.
        on_bad_sample: ``fail`` at a frame that cannot be used, or ``skip`` it.
        augmentation: how training views differ from the photographs, a name in
            ``AUGMENTATIONS``: ``paper`` (FastDepth's), ``strong`` (for few photographs) or
            ``mild`` (for many, such as procedural rooms).
        truth_size: ``HxW`` at which truth is taken by protocols that compare at the input size;
            predictions are interpolated to it. Networks of several input sizes then compare.
            Default: the input size.

    Raises:
        UserError: no data or input size, an unknown option, and what ``open_data`` raises.
    """
    if data is None:
        raise UserError("task depth needs --data: synthetic[:N], pairs:DIR, nyu:DIR, ...")
    if input_size is None:
        raise UserError("the network remembers no input size; give one with --input-size HxW")
    if on_bad_sample not in get_args(OnBadSample):
        raise UserError(f"unknown --on-bad-sample {on_bad_sample!r}; known: fail, skip")
    if loss not in LOSSES:
        raise UserError(f"unknown loss {loss!r}; known: {', '.join(LOSSES)}")
    if augmentation not in AUGMENTATIONS:
        raise UserError(f"unknown augmentation {augmentation!r}; known: {', '.join(AUGMENTATIONS)}")
    protocol_named(protocol)
    opened = open_data(
        data,
        input_size,
        on_bad_sample=on_bad_sample,
        augmentation=AUGMENTATIONS[augmentation],
        truth_size=parse_size(truth_size, "truth_size"),
    )
    return DepthTask(opened, loss, protocol)


def _stacked(arrays: list[NDArray[np.float32]]) -> Tensor:
    return torch.from_numpy(np.stack(arrays))


def _require_depth(model: nn.Module, outputs: object, images: Tensor) -> None:
    """Refuse outputs that are not one map per image, as large as the image or smaller."""
    count, _, height, width = images.shape
    shape = tuple(outputs.shape) if isinstance(outputs, Tensor) else ()
    if len(shape) == 4 and shape[:2] == (count, 1) and shape[2] <= height and shape[3] <= width:
        return
    raise UserError(
        f"a depth network returns {(count, 1, height, width)}, or smaller maps, for this "
        f"data; {type(model).__name__} returns {_described(outputs)}"
    )


def _described(outputs: object) -> str:
    return str(tuple(outputs.shape)) if isinstance(outputs, Tensor) else type(outputs).__name__
