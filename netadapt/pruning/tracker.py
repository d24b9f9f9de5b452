"""The labels of every tensor of a forward pass."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from netadapt.pruning.examples import tensors_in
from netadapt.pruning.labels import (
    FIXED,
    UNWRITTEN,
    LabelBook,
    along,
    compressed,
    fixed,
    without_unwritten,
)
from netadapt.pruning.operations import VIEWS, Recorder, storage_of
from netadapt.pruning.parameters import Portion, bare_parameters, side_of
from netadapt.pruning.streams import is_stream_norm

PICKS = {"index", "index_select", "flip", "roll", "repeat"}  # from constants, other constants
COPIES = {"_to_copy", "clone"}


class Tracker(Recorder):  # type: ignore[no-untyped-call]
    """Knows the labels of tensors and of memory written in parts, and which constants were made.

    Attributes:
        book: which labels can only be removed together.
        writes: for each module that writes or passes on channels, ``(channels,)`` labels.
        reads: for each module that mixes channels, the ``(channels,)`` labels of its input.
        sliced: the labels of tensors of which only a part of the channels was taken.
        used: the ``id`` of every parameter that an operation reads.
    """

    def __init__(
        self, running: Sequence[str], modules: dict[str, nn.Module], approximate: bool = False
    ) -> None:
        super().__init__(running)
        self._approximate = approximate
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
        self._bare = bare_parameters(modules)
        self._portions: dict[int, Portion] = {}  # by tensor: what of a parameter a constant holds
        self._waiting: list[tuple[int, Callable[[], object]]] = []
        self._settled = 0  # operations of which it is known whether an output needs them

    def lock_beside_constants(self) -> None:
        """Lock channels that meet a constant with a value for each, unless all are one group."""
        classes = torch.from_numpy(self.book.classes())
        for labels, dim, why in self._met:
            found = classes[labels]
            if bool((found != found.narrow(dim, 0, 1)).any()):
                self.book.lock(labels, why)

    def _if_needed(self, rule: Callable[[], object]) -> None:
        """Apply a rule of the operation that runs, unless no output will need its result.

        An average over heads, say, that attention gives beside what is asked for.
        """
        self._waiting.append((len(self.operations) - 1, rule))

    def settle(self, output: Any = None) -> None:
        """Apply the rules that wait; of operations that ``output``, a network's, needs."""
        unneeded = self._unneeded(output, self._settled)
        for place, rule in self._waiting:
            if place not in unneeded:
                rule()
        self._waiting.clear()
        self._settled = len(self.operations)

    @property
    def _running_name(self) -> str:
        return self._modules[-1] if self._modules else ""

    @property
    def _running(self) -> nn.Module | None:
        return self._by_name.get(self._running_name)

    def _approximates(self) -> bool:
        """Whether the running norm, over all channels, may lose some of them."""
        return self._approximate and is_stream_norm(self._running)

    def labels_of(self, tensor: Tensor) -> Tensor:
        """The labels of ``tensor``, with size 1 where they do not vary."""
        return self._of(tensor)

    def _of(self, tensor: Tensor) -> Tensor:
        """The labels of ``tensor``, of size 1 where they do not vary."""
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

    def _constant(self, func: Any, name: str, args: Any, outputs: list[Tensor]) -> None:
        self._note_parameters(args)
        self._note_portions(func, name, args, outputs)
        unread = name.startswith("new_") or name.endswith("_like")
        given = [storage_of(tensor) in self._made for tensor in tensors_in(args)]
        if name != "lift_fresh" and (unread or all(given)):
            self._made.update(storage_of(output) for output in outputs)
        self._alive.extend(outputs)

    def _note_portions(self, func: Any, name: str, args: Any, outputs: list[Tensor]) -> None:
        """Note which part of a bare parameter a constant holds that was made from it alone."""
        given = [(tensor, self._portion(tensor)) for tensor in tensors_in(args)]
        made_of = [(tensor, portion) for tensor, portion in given if portion is not None]
        if len(made_of) != 1:
            return
        tensor, portion = made_of[0]
        if name in VIEWS or name in PICKS:
            changed = tree_map(lambda value: portion.numbers if value is tensor else value, args)
            found = list(tensors_in(func(*changed)))
        elif name in COPIES or torch.Tag.pointwise in func.tags:
            found = [portion.numbers.expand(outputs[0].shape)]
        else:
            return
        for output, numbers in zip(outputs, found, strict=True):
            self._portions[id(output)] = replace(portion, numbers=numbers)

    def _portion(self, tensor: Tensor) -> Portion | None:
        known = self._portions.get(id(tensor))
        if known is None and id(tensor) in self._bare:
            numbers = torch.arange(tensor.numel()).view(tensor.shape)
            known = Portion(self._bare[id(tensor)], tuple(tensor.shape), numbers)
            self._portions[id(tensor)] = known
        return known

    def _labels_along(self, constant: Tensor, dim: int) -> Tensor | None:
        """The labels of a constant along ``dim``, as large as it; ``None`` if it has none."""
        portion = self._portion(constant)
        found = None if portion is None else portion.along(dim)
        if portion is None or found is None:
            return None
        side, places = found
        name = side_of(portion.name, side)
        if name not in self.writes:
            self.writes[name] = self.book.new(portion.sizes[side])
        return along(self.writes[name][places], dim, constant)

    def _note_parameters(self, args: Any) -> None:
        self.used.update(id(t) for t in tensors_in(args) if isinstance(t, nn.Parameter))

    def _uniform(self, tensor: Tensor, dim: int) -> Tensor:
        """Return ``(channels,)`` labels along ``dim``; labels that one channel mixes are joined."""
        labels = self._of(tensor)
        rows = labels.movedim(dim, 0).reshape(labels.shape[dim], -1)
        self.book.join(rows[:, :1], rows)
        return rows[:, 0].expand(tensor.shape[dim])

    def _pass_on(self, labels: Tensor) -> None:
        name = self._running_name
        self.book.join(self.writes.setdefault(name, labels), labels)

    def _joined(self, labels: Tensor, dims: Sequence[int], why: str) -> Tensor:
        """Join all labels along ``dims``: they can only be removed together."""
        first = labels
        for dim in dims:
            first = first.narrow(dim, 0, 1)
        self.book.join(first, labels, f"all of its channels {why}")
        return labels


def placed(flat: Tensor, tensor: Tensor) -> Tensor:
    """Return the values of ``flat`` at the places of the numbers of ``tensor`` in memory."""
    return flat.as_strided(tensor.size(), tensor.stride(), tensor.storage_offset())
