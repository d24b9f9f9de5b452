"""Handwritten digits: a small task that needs no download."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.data import TensorDataset

from netadapt.errors import UserError
from netadapt.training.dataset_task import DatasetTask

CLASSES = 10
INPUT_SIZE = (32, 32)
SPLIT_SEED = 0
TEST_SHARE, HOLDOUT_SHARE = 0.2, 0.15
MAX_SHIFT = 1 / 8


def open_digits(
    data: str | None, input_size: tuple[int, int] | None, *, truth_size: str | None = None
) -> DatasetTask:
    """Open the 1,797 digits (8x8, UCI; bundled with scikit-learn) as a task.

    A fifth of the images is the test split and 15 % the holdout, always the same ones. Images are
    ``(1, H, W)`` in [0, 1], enlarged bilinearly; training images are shifted by up to an eighth.
    Networks are compared by ``accuracy``; ``cross_entropy`` (nats) is reported too.

    Args:
        data: must be ``None``: the task has its own data.
        input_size: ``(H, W)``. Default: 32x32.
        truth_size: of no consequence: the label of an image has no size.

    Raises:
        UserError: ``data`` is given.
    """
    from sklearn.datasets import load_digits

    if data is not None:
        raise UserError(f"task digits has its own data; leave out --data {data}")
    height, width = input_size or INPUT_SIZE
    digits = load_digits()
    small = torch.from_numpy(digits.images / 16).float()[:, None]
    images = F.interpolate(small, (height, width), mode="bilinear", align_corners=False)
    labels = torch.from_numpy(digits.target).long()
    order = torch.from_numpy(np.random.default_rng(SPLIT_SEED).permutation(len(labels)))
    first, second = round(TEST_SHARE * len(order)), round((TEST_SHARE + HOLDOUT_SHARE) * len(order))
    test, holdout, train = (
        TensorDataset(images[part], labels[part])
        for part in (order[:first], order[first:second], order[second:])
    )
    return DatasetTask(
        "digits",
        train,
        holdout,
        test,
        loss=F.cross_entropy,
        scores={"accuracy": _accuracy, "cross_entropy": _cross_entropy},
        augment=_shifted,
    )


def _accuracy(outputs: Tensor, targets: Tensor) -> Tensor:
    return (outputs.argmax(dim=1) == targets).float()


def _cross_entropy(outputs: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(outputs, targets, reduction="none")


def _shifted(image: Tensor, rng: np.random.Generator) -> Tensor:
    """Shift the digit; pixels that come in at the edge are 0."""
    height, width = image.shape[-2:]
    down, right = (int(rng.integers(-reach, reach + 1)) for reach in _reaches(height, width))
    padded = F.pad(image, (max(right, 0), max(-right, 0), max(down, 0), max(-down, 0)))
    top, left = max(-down, 0), max(-right, 0)
    return padded[:, top : top + height, left : left + width]


def _reaches(height: int, width: int) -> tuple[int, int]:
    return int(height * MAX_SHIFT), int(width * MAX_SHIFT)
