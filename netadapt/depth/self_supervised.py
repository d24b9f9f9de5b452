"""Depth learnt from video: Monodepth2's task (Godard et al., ICCV 2019)."""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netadapt.depth.data import SequenceData, open_sequences
from netadapt.depth.data.spec import files_of
from netadapt.depth.metrics import METRICS, DepthScores
from netadapt.depth.models.monodepth2 import depth_of
from netadapt.depth.ssim import box_window, ssim
from netadapt.depth.warping import inverted, rotation_matrix, warped
from netadapt.errors import UserError
from netadapt.training.order import drawn
from netadapt.training.task import Scores, Split, Targets, Task, evaluating
from netadapt.training.trial import trial_run

EVALUATION_BATCH = 8
SSIM_WEIGHT = 0.85
SMOOTHNESS_WEIGHT = 1e-3
TIE_BREAKING_NOISE = 1e-5

Motions = list[tuple[Tensor, Tensor]]


class SelfSupervisedTask(Task):
    """Learns depth from three consecutive frames: the middle one is rendered from its neighbours.

    The network has a method ``training_outputs``, which answers images with disparities in
    [0, 1] of one or more scales, finest first, and a submodule ``pose``, which answers two
    frames with the motion between them (see :class:`netadapt.depth.models.monodepth2.PoseNetwork`).

    ``delta1`` counts where the holdout has ground truth, each image's depth being scaled to the
    median of the truth; else ``photometric``, the reprojection error, lower being better.

    Args:
        data: the splits, at one input size.
    """

    name = "self-supervised"

    def __init__(self, data: SequenceData) -> None:
        self.data = data
        self.spec = data.spec
        self.input_size = data.input_size
        self.data_files = files_of(data.spec)
        self._scored_by_depth = any(
            data.holdout.evaluation_example(index)[3].any() for index in range(len(data.holdout))
        )
        self.primary = "delta1" if self._scored_by_depth else "photometric"
        self.higher_is_better = self._scored_by_depth
        self.metrics = ("photometric", *(METRICS if self._scored_by_depth else ()))
        self.reported = ("rmse",) if self._scored_by_depth else ()

    def train_batch(
        self, draw: int, batch_size: int, seed: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Return middle frames ``(N, 3, H, W)``; by name their neighbours and the cameras.

        ``sources`` are ``(N, 2, 3, H, W)``, the frames before and after, and ``intrinsics``
        ``(N, 3, 3)`` in pixels.
        """
        examples = []
        for epoch, index in drawn(len(self.data.train), draw, batch_size, seed):
            augmentation = np.random.default_rng([seed, epoch, index])
            examples.append(self.data.train.training_example(index, augmentation))
        targets, sources, intrinsics = _stacked(examples)
        return targets, {"sources": sources, "intrinsics": intrinsics}

    def batches_per_epoch(self, batch_size: int) -> int:
        """How many batches show every training example about once."""
        return max(1, round(len(self.data.train) / batch_size))

    def loss(self, model: nn.Module, inputs: Tensor, targets: Targets) -> Tensor:
        """The mean over the scales of reprojection error and smoothness (the paper's eq. 5)."""
        assert isinstance(targets, dict)
        sources, intrinsics = targets["sources"], targets["intrinsics"]
        network: Any = model
        disparities = [disparity.float() for disparity in network.training_outputs(inputs)]
        motions = _motions(network, inputs, sources)
        with torch.autocast(inputs.device.type, enabled=False):
            standing = _errors(inputs, [sources[:, place] for place in (0, 1)])
            standing = standing + TIE_BREAKING_NOISE * torch.randn_like(standing)
            losses = []
            for scale, disparity in enumerate(disparities):
                moved = _reprojected(disparity, sources, motions, intrinsics)
                errors = torch.cat([standing, _errors(inputs, moved)], dim=1)
                smooth = SMOOTHNESS_WEIGHT / 2**scale * smoothness(disparity, inputs)
                losses.append(errors.amin(dim=1).mean() + smooth)
            return torch.stack(losses).mean()

    def score(self, model: nn.Module, split: Split) -> Scores:
        """``photometric`` and, where the holdout has ground truth, the metrics of depth.

        Raises:
            UserError: no image of the split has ground truth, though the holdout has.
        """
        dataset = self.data.holdout if split == "holdout" else self.data.test
        device = next(model.parameters()).device
        depths, photometric = DepthScores(), 0.0
        network: Any = model
        with evaluating(model):
            for start in range(0, len(dataset), EVALUATION_BATCH):
                batch = range(start, min(start + EVALUATION_BATCH, len(dataset)))
                examples = _stacked([dataset.evaluation_example(index) for index in batch])
                targets, sources, intrinsics, truth = (part.to(device) for part in examples)
                disparity = network.training_outputs(targets)[0]
                motions = _motions(network, targets, sources)
                moved = _reprojected(disparity, sources, motions, intrinsics)
                photometric += float(_errors(targets, moved).amin(dim=1).mean()) * len(batch)
                if self._scored_by_depth:
                    depths.add(median_scaled(depth_of(disparity), truth), truth)
        if self._scored_by_depth and not depths.images:
            raise UserError(f"data {self.spec}: no image of the {split} split has ground truth")
        scores = {"photometric": photometric / len(dataset)}
        return scores | (depths.average() if self._scored_by_depth else {})

    def check(self, model: nn.Module) -> None:
        """Raise a ``UserError`` unless ``model`` has what it takes to learn from video."""
        trial_run(model, torch.zeros(1, *self.input_shape))
        if not hasattr(model, "training_outputs") or not hasattr(model, "pose"):
            raise UserError(
                f"{type(model).__name__} cannot learn from video: it has no method "
                "training_outputs or no network pose; use monodepth2"
            )


def open_self_supervised(
    data: str | None, input_size: tuple[int, int] | None
) -> SelfSupervisedTask:
    """Open recordings by their ``--data`` word.

    Raises:
        UserError: what ``open_sequences`` raises, or no data or input size.
    """
    if data is None:
        raise UserError("task self-supervised needs --data: sequence:DIR, kitti:DIR, ...")
    if input_size is None:
        raise UserError("the network remembers no input size; give one with --input-size HxW")
    return SelfSupervisedTask(open_sequences(data, input_size))


def reprojection_error(seen: Tensor, target: Tensor) -> Tensor:
    """Return ``(N, 1, H, W)``: 0.85 (1 - SSIM) / 2 + 0.15 L1, means over the colours.

    SSIM over 3x3 pixels; both images are ``(N, 3, H, W)`` in [0, 1].
    """
    unlike = ((1 - ssim(seen, target, box_window, data_range=1.0)) / 2).clamp(0, 1)
    error = SSIM_WEIGHT * unlike + (1 - SSIM_WEIGHT) * (seen - target).abs()
    return error.mean(dim=1, keepdim=True)


def smoothness(disparity: Tensor, image: Tensor) -> Tensor:
    """Return how much disparity over its mean changes where the image does not.

    Args:
        disparity: ``(N, 1, H / 2^s, W / 2^s)``.
        image: ``(N, 3, H, W)``; brought to the size of ``disparity`` by averaging.
    """
    image = F.interpolate(image, disparity.shape[-2:], mode="area")
    relative = disparity / (disparity.mean(dim=(2, 3), keepdim=True) + 1e-7)
    total = disparity.new_zeros(())
    for dim in (2, 3):
        edges = image.diff(dim=dim).abs().mean(dim=1, keepdim=True)
        total = total + (relative.diff(dim=dim).abs() * torch.exp(-edges)).mean()
    return total


def median_scaled(depth: Tensor, truth: Tensor) -> Tensor:
    """Return every depth map times what brings its median to that of the truth.

    Both are ``(N, 1, H, W)``; only pixels with truth above 0 count.
    """
    scaled = depth.clone()
    for place, valid in enumerate(truth > 0):
        if valid.any():
            scaled[place] *= truth[place][valid].median() / depth[place][valid].median()
    return scaled


def _motions(network: Any, targets: Tensor, sources: Tensor) -> Motions:
    """What takes points of the middle camera to the one before and the one after.

    The pose network always sees two frames in the order they were taken.
    """
    before, after = sources[:, 0], sources[:, 1]
    axis_angle, translation = network.pose(before, targets)
    backward = inverted(rotation_matrix(axis_angle), translation.float())
    axis_angle, translation = network.pose(targets, after)
    return [backward, (rotation_matrix(axis_angle), translation.float())]


def _reprojected(
    disparity: Tensor, sources: Tensor, motions: Motions, intrinsics: Tensor
) -> list[Tensor]:
    """The middle frame as put together from each neighbour, ``(N, 3, H, W)``."""
    full = F.interpolate(disparity, sources.shape[-2:], mode="bilinear")
    depth = depth_of(full)
    return [
        warped(sources[:, place], depth, rotation, translation, intrinsics)
        for place, (rotation, translation) in enumerate(motions)
    ]


def _errors(target: Tensor, seen: list[Tensor]) -> Tensor:
    return torch.cat([reprojection_error(image, target) for image in seen], dim=1)


def _stacked(examples: list[Any]) -> tuple[Tensor, ...]:
    return tuple(torch.from_numpy(np.stack(part)) for part in zip(*examples, strict=True))
