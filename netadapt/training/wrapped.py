"""Tasks around another task."""

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from netadapt.training.task import Scores, Split, Targets, Task, on_device

KEPT_ON_CPU = 2**30  # bytes
KEPT_ON_CUDA = 0.25  # of the memory that is free


class WrappedTask(Task):
    """Does everything as ``task`` does; for subclasses to change a part of it."""

    def __init__(self, task: Task) -> None:
        self.name, self.primary = task.name, task.primary
        self.higher_is_better = task.higher_is_better
        self.metrics, self.reported = task.metrics, task.reported
        self.spec, self.input_size, self.note = task.spec, task.input_size, task.note
        self.task = task

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """``(C, H, W)`` of one input."""
        return self.task.input_shape

    def train_batch(self, draw: int, batch_size: int, seed: int) -> tuple[Tensor, Targets]:
        """As of the task."""
        return self.task.train_batch(draw, batch_size, seed)

    def batches_per_epoch(self, batch_size: int) -> int:
        """As of the task."""
        return self.task.batches_per_epoch(batch_size)

    def loss(self, model: nn.Module, inputs: Tensor, targets: Targets) -> Tensor:
        """As of the task."""
        return self.task.loss(model, inputs, targets)

    def score(self, model: nn.Module, split: Split) -> Scores:
        """As of the task."""
        return self.task.score(model, split)

    def check(self, model: nn.Module) -> None:
        """As of the task."""
        self.task.check(model)

    def prepare(self, model: nn.Module) -> None:
        """As of the task."""
        self.task.prepare(model)


@dataclass
class _Kept:
    key: tuple[int, int]
    batches: dict[int, tuple[Tensor, Targets]]
    room: int


class KeptBatches(WrappedTask):
    """A task whose training batches are kept on ``device`` for those who ask for them again.

    The candidates of an iteration all learn from the same ones. Those of one seed are kept, as
    many as there is room for: a quarter of a GPU's free memory, or 1 GiB.
    """

    def __init__(self, task: Task, device: torch.device | str) -> None:
        super().__init__(task)
        self._device = torch.device(device)
        self._kept: _Kept | None = None

    def train_batch(self, draw: int, batch_size: int, seed: int) -> tuple[Tensor, Targets]:
        """As of the task, but on the device; called by several threads."""
        kept = self._kept
        if kept is None or kept.key != (batch_size, seed):
            kept = self._kept = _Kept((batch_size, seed), {}, self._room())
        if draw in kept.batches:
            return kept.batches[draw]
        inputs, targets = self.task.train_batch(draw, batch_size, seed)
        size = _bytes(inputs, targets)
        if size > kept.room:
            return inputs, targets
        kept.room -= size
        inputs = inputs.to(self._device, memory_format=torch.channels_last)
        kept.batches[draw] = inputs, on_device(targets, self._device)
        return kept.batches[draw]

    def _room(self) -> int:
        if self._device.type != "cuda":
            return KEPT_ON_CPU
        self._kept = None  # what it holds is free from now on, if only to this process
        unused = torch.cuda.memory_reserved(self._device) - torch.cuda.memory_allocated(
            self._device
        )
        return int(KEPT_ON_CUDA * (torch.cuda.mem_get_info(self._device)[0] + unused))


def _bytes(inputs: Tensor, targets: Targets) -> int:
    tensors = [targets] if isinstance(targets, Tensor) else targets.values()
    return inputs.nbytes + sum(tensor.nbytes for tensor in tensors)
