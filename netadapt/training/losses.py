"""Losses on depth maps; pixels whose ground truth is 0 are left out."""

from collections.abc import Callable

from torch import Tensor, nn

DepthLoss = Callable[[nn.Module, Tensor, Tensor], Tensor]


def masked_l1(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean absolute error in metres over the valid pixels of the batch; 0 if there are none.

    ``outputs`` and ``targets`` are of one shape, in metres. The official FastDepth criterion.
    """
    return _valid_mean((outputs - targets).abs(), targets)


def masked_berhu(outputs: Tensor, targets: Tensor) -> Tensor:
    """Reverse Huber loss (Laina et al., 3DV 2016, eq. 2) over the valid pixels of the batch.

    ``|d|`` up to c and ``(d^2 + c^2) / 2c`` beyond, with c a fifth of the largest ``|d|`` in the
    batch; c is a constant to the gradient. 0 if no pixel is valid.
    """
    difference = (outputs - targets).abs()
    threshold = (0.2 * (difference * (targets > 0)).max()).detach().clamp(min=1e-6)
    beyond = (difference.square() + threshold.square()) / (2 * threshold)
    return _valid_mean(difference.where(difference <= threshold, beyond), targets)


def on_depth(compare: Callable[[Tensor, Tensor], Tensor]) -> DepthLoss:
    """Return the loss that compares what the network answers, in metres, with the truth."""

    def loss(model: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
        return compare(model(inputs).float(), targets)

    return loss


# name: (network, images (N, 3, H, W), depths (N, 1, H, W) in metres) -> scalar
LOSSES: dict[str, DepthLoss] = {"l1": on_depth(masked_l1), "berhu": on_depth(masked_berhu)}


def _valid_mean(values: Tensor, targets: Tensor) -> Tensor:
    valid = targets > 0
    return (values * valid).sum() / valid.sum().clamp(min=1)
