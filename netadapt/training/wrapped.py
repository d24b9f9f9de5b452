"""Tasks around another task."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from netadapt.pruning.examples import tensors_in
from netadapt.training.task import Inputs, Scores, Split, Targets, Task, inputs_on, on_device

CACHE_ON_CPU = 2**30  # bytes
CACHE_ON_CUDA = 0.25  # share of the free memory


class WrappedTask(Task):
    """Passes every call on to ``task``. Subclasses change some of the methods."""

    def __init__(self, task: Task) -> None:
        self.name, self.primary = task.name, task.primary
        self.higher_is_better = task.higher_is_better
        self.metrics, self.reported = task.metrics, task.reported
        self.spec, self.input_size, self.note = task.spec, task.input_size, task.note
        self.recordable = task.recordable
        self.task = task

    @property
    def input_shape(self) -> tuple[int, ...]:
        """``(C, H, W)`` of one input."""
        return self.task.input_shape

    def train_batch(self, draw: int, batch_size: int, seed: int) -> tuple[Any, Targets]:
        """Return the task's batch."""
        return self.task.train_batch(draw, batch_size, seed)

    def batches_per_epoch(self, batch_size: int) -> int:
        """Return the task's number of batches."""
        return self.task.batches_per_epoch(batch_size)

    def loss(self, model: nn.Module, inputs: Any, targets: Targets) -> Tensor:
        """Return the task's loss."""
        return self.task.loss(model, inputs, targets)

    def score(self, model: nn.Module, split: Split) -> Scores:
        """Return the task's scores."""
        return self.task.score(model, split)

    def check(self, model: nn.Module) -> None:
        """Let the task check ``model``."""
        self.task.check(model)

    def prepare(self, model: nn.Module) -> None:
        """Let the task prepare ``model``."""
        self.task.prepare(model)


@dataclass
class _Cache:
    """The batches of one batch size and seed, by draw, and the bytes that are left for more."""

    key: tuple[int, int]
    batches: dict[int, tuple[Inputs, Targets]]
    bytes_left: int


class CachedBatches(WrappedTask):
    """Caches the training batches of a task on ``device``.

    All candidates of an iteration are trained on the same batches. The batches of one seed are
    cached until the limit is reached: a quarter of a GPU's free memory, or 1 GiB on the CPU.
    """

    def __init__(self, task: Task, device: torch.device | str) -> None:
        super().__init__(task)
        self._device = torch.device(device)
        self._cache: _Cache | None = None

    def train_batch(self, draw: int, batch_size: int, seed: int) -> tuple[Any, Targets]:
        """Return the task's batch, on the device if it is cached; several threads call this."""
        cache = self._cache
        if cache is None or cache.key != (batch_size, seed):
            cache = self._cache = _Cache((batch_size, seed), {}, self._limit())
        if draw in cache.batches:
            return cache.batches[draw]
        inputs, targets = self.task.train_batch(draw, batch_size, seed)
        size = _bytes(inputs, targets)
        if size > cache.bytes_left:
            return inputs, targets
        cache.bytes_left -= size
        cache.batches[draw] = inputs_on(inputs, self._device), on_device(targets, self._device)
        return cache.batches[draw]

    def _limit(self) -> int:
        if self._device.type != "cuda":
            return CACHE_ON_CPU
        self._cache = None  # frees the memory of the batches of another seed
        unused = torch.cuda.memory_reserved(self._device) - torch.cuda.memory_allocated(
            self._device
        )
        return int(CACHE_ON_CUDA * (torch.cuda.mem_get_info(self._device)[0] + unused))


def _bytes(inputs: Inputs, targets: Targets) -> int:
    return sum(tensor.nbytes for tensor in tensors_in([inputs, targets]))
