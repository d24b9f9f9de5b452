"""Scores of depth maps by the definitions of the FastDepth code (metrics.py of the authors)."""

import math

import torch
from torch import Tensor

MIN_DEPTH = 1e-3  # metres
METRICS = ("delta1", "delta2", "delta3", "rmse", "absrel", "log10", "mae", "irmse")


class DepthScores:
    """Averages over a split, each image counting once whatever number of valid pixels it has.

    ``delta1`` to ``delta3``: share of pixels whose ratio to the truth is under 1.25, its square
    and its cube; ``rmse`` and ``mae`` in metres; ``absrel`` relative to the truth; ``log10``:
    mean absolute difference of the base-10 logarithms; ``irmse``: RMSE of inverse depth, in
    1/m. Pixels with truth 0 do not count, nor do images without a valid pixel. Where a
    ratio, logarithm or inverse is taken, predictions are held at 1 mm or more: a head that
    ends in ReLU may answer 0, for which the official code gives infinities.
    """

    def __init__(self) -> None:
        self.images = 0
        self._sums = dict.fromkeys(METRICS, 0.0)

    def add(self, outputs: Tensor, targets: Tensor) -> None:
        """Add a batch: ``outputs`` and ``targets`` of one shape ``(N, 1, H, W)``, metres."""
        for name, values in per_image(outputs, targets).items():
            self._sums[name] += float(values.sum(dtype=torch.float64))
        self.images += int((targets > 0).flatten(1).any(dim=1).sum())

    def average(self) -> dict[str, float]:
        """The mean over the images added so far; NaN if there are none."""
        return {
            name: total / self.images if self.images else math.nan
            for name, total in self._sums.items()
        }


def per_image(outputs: Tensor, targets: Tensor) -> dict[str, Tensor]:
    """Return every metric as ``(M,)``, one value for each of the M images with a valid pixel."""
    if outputs.shape != targets.shape:
        raise ValueError(f"outputs are {tuple(outputs.shape)}, targets {tuple(targets.shape)}")
    seen = (targets > 0).flatten(1).any(dim=1)
    output, target = outputs[seen].flatten(1).float(), targets[seen].flatten(1).float()
    valid = target > 0
    count = valid.sum(dim=1)
    truth = target.where(valid, 1.0)
    held = output.clamp(min=MIN_DEPTH)
    error = output - truth
    ratio = torch.maximum(held / truth, truth / held)

    def mean(values: Tensor) -> Tensor:
        return values.where(valid, 0.0).sum(dim=1) / count

    return {
        "delta1": mean((ratio < 1.25).float()),
        "delta2": mean((ratio < 1.25**2).float()),
        "delta3": mean((ratio < 1.25**3).float()),
        "rmse": mean(error.square()).sqrt(),
        "absrel": mean(error.abs() / truth),
        "log10": mean((held.log10() - truth.log10()).abs()),
        "mae": mean(error.abs()),
        "irmse": mean((1 / held - 1 / truth).square()).sqrt(),
    }
