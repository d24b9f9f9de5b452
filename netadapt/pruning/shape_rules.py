"""What operations without weights do to channels: move, join, reduce or combine them."""

import re
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

from netadapt.pruning.examples import tensors_in
from netadapt.pruning.labels import FIXED, aligned, aligned_shape, compressed, fixed, varying
from netadapt.pruning.operations import VIEWS, storage_of
from netadapt.pruning.streams import REMEDY, is_stream_norm
from netadapt.pruning.tracker import Tracker, placed


class ShapeRules(Tracker):  # type: ignore[no-untyped-call]
    """Views, slices, concats, reductions, and operations on each element."""

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._shapes: dict[int, torch.Size] = {}  # of what is changed in place, before it is

    def _call(self, func: Any, args: Any, kwargs: Any) -> Any:
        changed = args[:1] if func._schema.is_mutable else ()
        self._shapes = {id(tensor): tensor.shape for tensor in tensors_in(changed)}
        return super()._call(func, args, kwargs)

    def _reduced(self, func: Any, args: Any, output: Tensor) -> Tensor:
        labels = self._of(args[0])
        names = [argument.name for argument in func._schema.arguments]
        place = names.index("dim") if "dim" in names else len(args)
        dims = args[place] if place < len(args) else None
        every = range(labels.dim())
        dims = [dims] if isinstance(dims, int) else list(every) if not dims else list(dims)
        dims = sorted({dim % labels.dim() for dim in dims}) if labels.dim() else []
        if len(dims) == 1 and varying(labels) == dims and self._approximates():
            self._pass_on(labels.flatten())
            labels = self.book.new(1).view([1] * labels.dim())  # statistics are no channel
        else:
            whole, why = labels, "are averaged or summed up"
            if is_stream_norm(self._running) and set(varying(labels)) & set(dims):
                by = f"standardised together by {self._running_name}{REMEDY}"
                self.book.lock(labels, f"all of its channels are {by}")
            self._if_needed(lambda: self._joined(whole, dims, why))
        for dim in dims:
            labels = labels.narrow(dim, 0, 1)
        if output.dim() < labels.dim():
            labels = labels.reshape([labels.shape[dim] for dim in every if dim not in dims])
        return labels

    def _spatial(self, name: str, args: Any) -> Tensor:
        labels = self._of(args[0])
        count = int(re.findall(r"(\d)d", name)[0])
        rows = labels.flatten(-count) if labels.dim() >= count else labels
        self.book.join(rows[..., :1], rows)
        for tensor in tensors_in(args[1:]):
            if self._depends_on_input(tensor):
                self.book.lock(self._of(tensor), f"{name} takes positions from its channels")
        for dim in range(labels.dim() - count, labels.dim()):
            labels = labels.narrow(dim, 0, 1)
        return labels

    def _moved(self, func: Any, name: str, args: Any, outputs: list[Tensor]) -> list[Tensor]:
        source, places = args[0], args[1:]
        if name in ("clone", "_to_copy", "alias", "detach", "lift_fresh"):
            return [self._of(source)]
        if name.startswith("as_strided"):
            flat = torch.zeros(_extent(source, outputs[0]), dtype=torch.int64)
            placed(flat, source).copy_(self._of(source).expand(source.shape))
            return [compressed(placed(flat, outputs[0]).clone())]
        if name.endswith("_") and storage_of(source) in self._flat:
            return [self._of(source)]
        spread = tree_map(self._spread, source)
        if name in ("view", "_unsafe_view", "reshape"):
            return [compressed(spread.reshape(outputs[0].shape))]
        if any(self._depends_on_input(tensor) for tensor in tensors_in(places)):
            return self._moved_by_values(name, args, outputs)
        moved = list(tensors_in(func(spread, *places)))
        if name in ("split", "unsafe_split") and isinstance(args[1], int) and len(moved) > 1:
            self._chunked(moved, args[2] if len(args) > 2 else 0)
        parts = [compressed(labels) for labels in moved]
        if name in VIEWS and any(part.numel() < self._of(source).numel() for part in parts):
            self.sliced.append(self._of(source))
        return parts

    def _moved_by_values(self, name: str, args: Any, outputs: list[Tensor]) -> list[Tensor]:
        for tensor in tensors_in(args):
            if self._depends_on_input(tensor):
                why = f"{name} picks channels, or is told by channels what to pick"
                self.book.lock(self._of(tensor), why)
        return [fixed(output) for output in outputs]

    def _copied(self, args: Any, output: Tensor) -> Tensor:
        """A tensor that is written over takes the labels of what is written."""
        source = args[1]
        labels = self._of(source) if self._depends_on_input(source) else fixed(source)
        return aligned(labels, output.dim())

    def _chunked(self, parts: list[Tensor], dim: int) -> None:
        """Halves of a channel axis stay halves only if both lose as many channels."""
        if len({part.shape for part in parts}) == 1 and parts[0].shape[dim] > 1:
            whole = torch.stack([compressed(part) for part in parts])
            if whole.shape[1:].numel() > 1:
                self.book.join(whole[:1], whole, "is split into parts of equal size")

    def _gated(self, args: Any, output: Tensor) -> Tensor:
        """One half of the channels times the sigmoid of the other."""
        dim = (args[1] if len(args) > 1 else -1) % output.dim()
        halves = self._spread(args[0]).chunk(2, dim)
        self._chunked(list(halves), dim)
        return compressed(halves[0])

    def _spread(self, value: Any) -> Any:
        """Labels in the shape of the tensor before the operation; constants have fixed labels."""
        if not isinstance(value, Tensor):
            return value
        labels = self._of(value) if self._depends_on_input(value) else fixed(value)
        return labels.expand(self._shapes.get(id(value), value.shape))

    def _concat(self, args: Any, output: Tensor) -> Tensor:
        dim = (args[1] if len(args) > 1 else 0) % output.dim()
        parts = []
        tensors = [t for t in args[0] if t.dim() == output.dim()]  # an empty one is let through
        activations = (self._of(tensor) for tensor in tensors if self._depends_on_input(tensor))
        beside = next(activations).narrow(dim, 0, 1)
        for tensor in tensors:
            if self._depends_on_input(tensor):
                labels = self._of(tensor)
            else:
                labels = self._beside(tensor, beside)
            shape = list(labels.shape)
            shape[dim] = tensor.shape[dim]
            parts.append(labels.expand(shape))
        shape = [max(sizes) for sizes in zip(*(part.shape for part in parts), strict=True)]
        spread = []
        for part in parts:
            shape[dim] = part.shape[dim]
            spread.append(part.expand(shape))
        return compressed(torch.cat(spread, dim))

    def _beside(self, constant: Tensor, labels: Tensor) -> Tensor:
        """The labels of a constant that is put beside channels, such as a token."""
        dims = varying(labels)
        own = self._labels_along(constant, dims[0]) if len(dims) == 1 else None
        if own is None:
            return fixed(constant)
        self.book.join(own, labels)
        return labels

    def _pad(self, args: Any, output: Tensor) -> Tensor:
        labels = self._of(args[0])
        pad = list(args[1])
        for place in range(len(pad) // 2):
            if labels.shape[-1 - place] == 1:  # what is added to height or width is no channel
                pad[2 * place : 2 * place + 2] = [0, 0]
        return torch.nn.functional.pad(labels, pad, value=FIXED)

    def _pointwise(self, args: Any, output: Tensor) -> Tensor:
        """Channels that meet can only be removed together."""
        inputs = [t for t in tensors_in(args) if self._depends_on_input(t)]
        result = fixed(output)
        for place, tensor in enumerate(inputs):
            labels = aligned(self._of(tensor), output.dim())
            shape = aligned_shape(tensor, output.dim())
            if place == 0:
                result, first_shape = labels, shape
                continue
            if self._one_over_many(labels, shape, result):
                continue
            if self._one_over_many(result, first_shape, labels):
                result, first_shape = labels, shape
                continue
            self.book.join(result, labels)
            result = result if result.numel() >= labels.numel() else labels
        for tensor in tensors_in(args):
            if not self._depends_on_input(tensor):
                self._meet_constant(tensor, result)
        return result

    def _one_over_many(self, labels: Tensor, shape: Sequence[int], other: Tensor) -> bool:
        """Whether a single channel is spread over several; it is then no channel to prune."""
        spread = any(shape[dim] == 1 for dim in varying(other))
        if spread:
            self.book.lock(labels, "a channel of it is spread over several others")
        return spread

    def _meet_constant(self, constant: Tensor, labels: Tensor) -> None:
        module = self._running
        if isinstance(module, nn.Linear) and constant is module.bias:  # added on its own
            return
        if storage_of(constant) in self._made:  # as large as the forward pass asks; it is tried
            return
        shape = aligned_shape(constant, labels.dim())
        base = constant._base if constant._is_view() else constant
        if self._approximates() and module is not None and _is_one_of(base, module):
            return
        what = "bare parameter" if isinstance(base, nn.Parameter) else "constant"
        owner = self._running_name or "the network"
        why = f"a {what} in {owner} holds a value for each of its channels"
        for dim in varying(labels):
            if shape[dim] == 1:
                continue
            own = self._labels_along(constant, dim - labels.dim() + constant.dim())
            if own is None:
                self._met.append((labels, dim, why))
            else:
                self.book.join(aligned(own, labels.dim()), labels)


def _is_one_of(tensor: Tensor | None, module: nn.Module) -> bool:
    return any(tensor is parameter for parameter in module._parameters.values())


def _extent(*tensors: Tensor) -> int:
    """Return how many numbers the memory holds up to the last one of ``tensors``."""
    return max(
        1
        + int(t.storage_offset())
        + sum((n - 1) * s for n, s in zip(t.shape, t.stride(), strict=True))
        for t in tensors
    )
