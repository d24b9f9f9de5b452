"""Losses on depth maps; pixels whose ground truth is 0 are left out."""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netadapt.depth.models import DenseDepth
from netadapt.depth.ssim import GAUSSIAN_SIZE, gaussian_window, ssim

DepthLoss = Callable[[nn.Module, Tensor, Tensor], Tensor]

MIN_DEPTH = 1e-3  # metres; where a logarithm is taken, predictions are held above it
GRADIENT_WEIGHT = 0.1
DENSEDEPTH_SCALE = 10.0  # metres
DENSEDEPTH_RANGE = 100.0  # of 10 m over depth, which is 100 at 0.1 m and 1 at 10 m
DENSEDEPTH_L1_WEIGHT = 0.1


def masked_l1(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean absolute error in metres over the valid pixels of the batch; 0 if there are none.

    ``outputs`` and ``targets`` are of one shape, in metres. The official FastDepth criterion.
    """
    return _mean((outputs - targets).abs(), targets > 0)


def l1_with_log(outputs: Tensor, targets: Tensor) -> Tensor:
    """:func:`masked_l1` and the mean absolute difference of the natural logarithms.

    The first is about metres, the second about proportions, which delta1 counts.
    """
    difference, valid = _log_difference(outputs, targets)
    return masked_l1(outputs, targets) + _mean(difference.abs(), valid)


def masked_berhu(outputs: Tensor, targets: Tensor) -> Tensor:
    """Reverse Huber loss (Laina et al., 3DV 2016, eq. 2) over the valid pixels of the batch.

    ``|d|`` up to c and ``(d^2 + c^2) / 2c`` beyond, with c a fifth of the largest ``|d|`` in the
    batch; c is a constant to the gradient. 0 if no pixel is valid.
    """
    difference = (outputs - targets).abs()
    threshold = (0.2 * (difference * (targets > 0)).max()).detach().clamp(min=1e-6)
    beyond = (difference.square() + threshold.square()) / (2 * threshold)
    return _mean(difference.where(difference <= threshold, beyond), targets > 0)


def silog(outputs: Tensor, targets: Tensor) -> Tensor:
    """Scale-invariant log loss (Eigen et al., 2014) in the form of LapDepth, 0 or more.

    ``10 sqrt(mean g^2 - 0.85 (mean g)^2)``, g the difference of the natural logarithms over the
    valid pixels of the batch. Outputs are held at 1 mm or more.
    """
    difference, valid = _log_difference(outputs, targets)
    mean = _mean(difference, valid)
    spread = _mean(difference.square(), valid) - 0.85 * mean.square()
    return 10 * spread.clamp(min=1e-12).sqrt()


def silog_with_gradient(outputs: Tensor, targets: Tensor) -> Tensor:
    """:func:`silog` and a tenth of how far the image gradients of the log depths are apart."""
    difference, valid = _log_difference(outputs, targets)
    return silog(outputs, targets) + GRADIENT_WEIGHT * _edges(difference, valid)


def densedepth(answers: Tensor, targets: Tensor) -> Tensor:
    """The loss of DenseDepth (arXiv:1812.11941, section 3.2) over the valid pixels of the batch.

    ``(1 - SSIM) / 2``, the L1 distance of the image gradients, and a tenth of the L1 distance.

    Args:
        answers: ``(N, 1, H, W)``, 10 m over depth.
        targets: ``(N, 1, H, W)`` depth in metres; 11 pixels a side or more.
    """
    valid = targets > 0
    nearest = DENSEDEPTH_SCALE / DENSEDEPTH_RANGE
    truth = DENSEDEPTH_SCALE / targets.clamp(nearest, DENSEDEPTH_SCALE)
    truth, answers = truth.where(valid, 0.0), answers.where(valid, 0.0)
    unlike = (1 - ssim(answers, truth, gaussian_window, DENSEDEPTH_RANGE)) / 2
    edge = GAUSSIAN_SIZE // 2
    inside = valid[..., edge:-edge, edge:-edge]
    difference = answers - truth
    return (
        _mean(unlike.clamp(0, 1), inside)
        + _edges(difference, valid)
        + DENSEDEPTH_L1_WEIGHT * _mean(difference.abs(), valid)
    )


def on_depth(compare: Callable[[Tensor, Tensor], Tensor]) -> DepthLoss:
    """Return the loss that compares what the network answers, in metres, with the truth.

    The truth is brought to the size of the answer by taking the nearest pixel.
    """

    def loss(model: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
        outputs = model(inputs).float()
        return compare(outputs, _sized_as(outputs, targets))

    return loss


def _on_normalised(model: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
    if isinstance(model, DenseDepth):
        answers = model.training_outputs(inputs).float()
    else:
        depth = model(inputs).float()
        answers = DENSEDEPTH_SCALE / depth.clamp(min=DENSEDEPTH_SCALE / DENSEDEPTH_RANGE)
    with torch.autocast(answers.device.type, enabled=False):
        return densedepth(answers, _sized_as(answers, targets))


# name: (network, images (N, 3, H, W), depths (N, 1, H, W) in metres) -> scalar
LOSSES: dict[str, DepthLoss] = {
    "l1": on_depth(masked_l1),
    "l1-log": on_depth(l1_with_log),
    "berhu": on_depth(masked_berhu),
    "silog": on_depth(silog),
    "silog-gradient": on_depth(silog_with_gradient),
    "densedepth": _on_normalised,
}


def _sized_as(outputs: Tensor, targets: Tensor) -> Tensor:
    size = outputs.shape[-2:]
    return targets if targets.shape[-2:] == size else F.interpolate(targets, size, mode="nearest")


def _log_difference(outputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    valid = targets > 0
    truth = targets.where(valid, 1.0)
    return (outputs.clamp(min=MIN_DEPTH).log() - truth.log()).where(valid, 0.0), valid


def _edges(difference: Tensor, valid: Tensor) -> Tensor:
    """The mean step of ``difference`` between vertical, and between horizontal, neighbours."""
    steps = []
    for dim in (-2, -1):
        both = valid.narrow(dim, 1, valid.shape[dim] - 1) & valid.narrow(
            dim, 0, valid.shape[dim] - 1
        )
        steps.append(_mean(difference.diff(dim=dim).abs(), both))
    return torch.stack(steps).sum()


def _mean(values: Tensor, valid: Tensor) -> Tensor:
    return (values * valid).sum() / valid.sum().clamp(min=1)
