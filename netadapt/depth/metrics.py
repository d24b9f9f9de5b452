"""Scores of depth maps: those of the FastDepth code (metrics.py of the authors), and a few more."""

import math

import torch
from torch import Tensor

MIN_DEPTH = 1e-3  # metres
METRICS = (
    "delta1", "delta2", "delta3", "rmse", "absrel", "log10", "mae", "irmse",
    "rmse_log", "sqrel", "silog",
)  # fmt: skip
UNITS = {"rmse": "m", "mae": "m", "sqrel": "m", "irmse": "1/m"}


class DepthScores:
    """Averages over a split, each image counting once whatever number of valid pixels it has.

    ``delta1`` to ``delta3``: share of pixels whose ratio to the truth is under 1.25, its square
    and its cube; ``rmse`` and ``mae`` in metres (not millimetres); ``absrel`` relative to the
    truth; ``sqrel``: mean of the squared error over the truth, in metres (Eigen et al., NeurIPS
    2014); ``log10``: mean absolute difference of the base-10 logarithms; ``rmse_log``: RMSE of
    the natural logarithm; ``irmse``: RMSE of inverse depth, in 1/m; ``silog``: 100 times the
    standard deviation of the natural logarithms' difference, as in KITTI's depth benchmark.

    Where a ratio, logarithm or inverse is taken, predictions are held at 1 mm or more: a head
    that ends in ReLU may answer 0, for which the official code gives infinities. Images without
    a valid pixel do not count.
    """

    def __init__(self) -> None:
        self.images = 0
        self._sums = dict.fromkeys(METRICS, 0.0)

    def add(self, outputs: Tensor, targets: Tensor, valid: Tensor | None = None) -> None:
        """Add a batch: ``outputs`` and ``targets`` of one shape ``(N, 1, H, W)``, metres.

        ``valid`` says which pixels count; by default those whose truth is above 0.
        """
        if valid is None:
            valid = targets > 0
        for name, values in per_image(outputs, targets, valid).items():
            self._sums[name] += float(values.sum(dtype=torch.float64))
        self.images += int(valid.flatten(1).any(dim=1).sum())

    def average(self) -> dict[str, float]:
        """The mean over the images added so far; NaN if there are none."""
        return {
            name: total / self.images if self.images else math.nan
            for name, total in self._sums.items()
        }


def per_image(outputs: Tensor, targets: Tensor, valid: Tensor) -> dict[str, Tensor]:
    """Return every metric as ``(M,)``, one value for each of the M images with a valid pixel.

    Where a valid pixel has truth 0, as a union mask allows, it is no hit of any delta, and what
    divides by the truth or takes its logarithm is infinite or NaN, as in the official code.
    """
    if not outputs.shape == targets.shape == valid.shape:
        shapes = (tuple(tensor.shape) for tensor in (outputs, targets, valid))
        raise ValueError("outputs are {}, targets {}, valid {}".format(*shapes))
    seen = valid.flatten(1).any(dim=1)
    output, target = outputs[seen].flatten(1).float(), targets[seen].flatten(1).float()
    valid = valid[seen].flatten(1)
    count = valid.sum(dim=1)
    truth = target.where(valid, 1.0)
    held = output.clamp(min=MIN_DEPTH)
    error = output - truth
    ratio = torch.maximum(held / truth, truth / held)
    log_error = held.log() - truth.log()

    def mean(values: Tensor) -> Tensor:
        return values.where(valid, 0.0).sum(dim=1) / count

    spread = log_error - mean(log_error)[:, None]
    return {
        "delta1": mean((ratio < 1.25).float()),
        "delta2": mean((ratio < 1.25**2).float()),
        "delta3": mean((ratio < 1.25**3).float()),
        "rmse": mean(error.square()).sqrt(),
        "absrel": mean(error.abs() / truth),
        "log10": mean((held.log10() - truth.log10()).abs()),
        "mae": mean(error.abs()),
        "irmse": mean((1 / held - 1 / truth).square()).sqrt(),
        "rmse_log": mean(log_error.square()).sqrt(),
        "sqrel": mean(error.square() / truth),
        "silog": 100 * mean(spread.square()).sqrt(),
    }
