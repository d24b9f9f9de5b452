"""Typical inputs of a task, from which the ranges of int8 files are calibrated."""

import torch
from torch import Tensor

from netadapt.errors import UserError
from netadapt.training.task import Task

MAX_FRAMES = 4096


def calibration_frames(task: Task, count: int) -> Tensor:
    """Return ``(count, C, H, W)`` training inputs of ``task``, always the same ones.

    Raises:
        UserError: ``count`` is below 1 or above 4096.
    """
    if not 1 <= count <= MAX_FRAMES:
        raise UserError(f"cannot calibrate with {count} frames; give 1 to {MAX_FRAMES}")
    batch = min(count, 16)
    draws = range(-(-count // batch))
    return torch.cat([task.train_batch(draw, batch, seed=0)[0] for draw in draws])[:count]
