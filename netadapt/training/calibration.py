"""Typical inputs of a task, from which the ranges of int8 files are calibrated."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from netadapt.errors import UserError
from netadapt.training.task import Task

MAX_FRAMES = 4096


def calibration_frames(task: Task, count: int) -> Any:
    """Return ``count`` training inputs of ``task``, in one batch, always the same ones.

    Raises:
        UserError: ``count`` is below 1 or above 4096.
    """
    if not 1 <= count <= MAX_FRAMES:
        raise UserError(f"cannot calibrate with {count} frames; give 1 to {MAX_FRAMES}")
    batch = min(count, 16)
    draws = range(-(-count // batch))
    batches = [task.train_batch(draw, batch, seed=0)[0] for draw in draws]
    return _joined(batches, count)


def _joined(batches: list[Any], count: int) -> Any:
    first = batches[0]
    if isinstance(first, Tensor):
        return torch.cat(batches)[:count]
    if isinstance(first, Mapping):
        return {name: _joined([batch[name] for batch in batches], count) for name in first}
    return tuple(_joined(list(parts), count) for parts in zip(*batches, strict=True))
