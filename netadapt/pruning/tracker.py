"""The labels of every tensor of a forward pass."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from netadapt.pruning.examples import tensors_in
from netadapt.pruning.labels import (
    FIXED,
    UNWRITTEN,
    LabelBook,
    compressed,
    fixed,
    without_unwritten,
)
from netadapt.pruning.operations import Recorder, storage_of


class Tracker(Recorder):  # type: ignore[no-untyped-call]
    """Knows the labels of tensors, of memory written in parts, and which constants were made.

    Attributes:
        book: which labels stand or fall together.
        writes: for each module that writes or passes on channels, ``(channels,)`` labels.
        reads: for each module that mixes channels, the ``(channels,)`` labels of its input.
        sliced: the labels of tensors of which only a part of the channels was taken.
        used: the ``id`` of every parameter that an operation reads.
    """

    def __init__(self, running: Sequence[str], modules: dict[str, nn.Module]) -> None:
        super().__init__(running)
        self.book = LabelBook()
        self.writes: dict[str, Tensor] = {}
        self.reads: dict[str, Tensor] = {}
        self.sliced: list[Tensor] = []
        self.used: set[int] = set()
        self._by_name = modules
        self._labels: dict[int, Tensor] = {}  # by tensor
        self._owners: dict[int, Tensor] = {}  # by memory, the first tensor in it
        self._flat: dict[int, Tensor] = {}  # by memory that is written in parts, a label a number
        self._kwargs: dict[str, Any] = {}  # of the operation that runs
        self._met: list[tuple[Tensor, int, str]] = []  # labels, a dimension a constant is along
        self._made: set[int] = set()  # memory of constants that the forward pass makes itself

    def lock_beside_constants(self) -> None:
        """Lock channels that meet a constant with a value for each, unless all go together."""
        classes = torch.from_numpy(self.book.classes())
        for labels, dim, why in self._met:
            found = classes[labels]
            if bool((found != found.narrow(dim, 0, 1)).any()):
                self.book.lock(labels, why)

    @property
    def _running_name(self) -> str:
        return self._modules[-1] if self._modules else ""

    @property
    def _running(self) -> nn.Module | None:
        return self._by_name.get(self._running_name)

    def _of(self, tensor: Tensor) -> Tensor:
        """The labels of ``tensor``, with size 1 where they do not vary."""
        flat = self._flat.get(storage_of(tensor)) if self._flat else None
        if flat is not None:
            return compressed(without_unwritten(placed(flat, tensor)))
        found = self._labels.get(id(tensor))
        return fixed(tensor) if found is None else found

    def _set(self, tensor: Tensor, labels: Tensor, *, written: bool) -> None:
        """Note the labels of a result; ``written``: others may hold the same memory."""
        if written:
            self._write(tensor, labels)
        self._labels[id(tensor)] = labels
        self._owners.setdefault(storage_of(tensor), tensor)

    def _write(self, tensor: Tensor, labels: Tensor) -> None:
        place = storage_of(tensor)
        if place not in self._flat:
            before = self._of(tensor)
            if before is labels or bool((before == labels).all()):
                return
            self._flat[place] = self._flattened(tensor)
        placed(self._flat[place], tensor).copy_(labels.expand(tensor.shape))

    def _flattened(self, tensor: Tensor) -> Tensor:
        """Return a label for each number in the memory that ``tensor`` is in."""
        count = tensor.untyped_storage().nbytes() // tensor.element_size()
        place = storage_of(tensor)
        flat = torch.full((count,), UNWRITTEN if place in self._made else FIXED)
        owner = self._owners.get(place)
        if owner is not None:
            placed(flat, owner).copy_(self._of(owner).expand(owner.shape))
        return flat

    def _call(self, func: Any, args: Any, kwargs: Any) -> Any:
        self._kwargs = kwargs
        return super()._call(func, args, kwargs)

    def _constant(self, name: str, args: Any, outputs: list[Tensor]) -> None:
        self._note_parameters(args)
        unread = name.startswith("new_") or name.endswith("_like")
        given = [storage_of(tensor) in self._made for tensor in tensors_in(args)]
        if name != "lift_fresh" and (unread or all(given)):
            self._made.update(storage_of(output) for output in outputs)
        self._alive.extend(outputs)

    def _note_parameters(self, args: Any) -> None:
        self.used.update(id(t) for t in tensors_in(args) if isinstance(t, nn.Parameter))

    def _uniform(self, tensor: Tensor, dim: int) -> Tensor:
        """Return ``(channels,)`` labels along ``dim``; those that a channel mixes are joined."""
        labels = self._of(tensor)
        rows = labels.movedim(dim, 0).reshape(labels.shape[dim], -1)
        self.book.join(rows[:, :1], rows)
        return rows[:, 0].expand(tensor.shape[dim])

    def _joined(self, labels: Tensor, dims: Sequence[int], why: str) -> Tensor:
        """Let all labels along ``dims`` stand or fall together."""
        first = labels
        for dim in dims:
            first = first.narrow(dim, 0, 1)
        self.book.join(first, labels, f"all of its channels {why}")
        return labels


def placed(flat: Tensor, tensor: Tensor) -> Tensor:
    """Return what ``flat`` holds where the numbers of ``tensor`` lie in memory."""
    return flat.as_strided(tensor.size(), tensor.stride(), tensor.storage_offset())
