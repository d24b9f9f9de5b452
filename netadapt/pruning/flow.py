"""Following every channel through a forward pass, operation by operation."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm
from torch.utils._pytree import tree_map

from netadapt.pruning.folding import CONVOLUTIONS
from netadapt.pruning.labels import FIXED, LabelBook, compressed, varying
from netadapt.pruning.operations import VIEWS, Operation, Recorder, named_scopes, tensors_in
from netadapt.pruning.surgery import passes_channels

# operations that put what they are given elsewhere: they do to labels what they do to values
MOVES = {
    "_to_copy", "channel_shuffle", "clone", "flip", "index_select", "pixel_shuffle",
    "pixel_unshuffle", "repeat", "roll", "stack",
}  # fmt: skip
POINTWISE = {  # that torch, or torch 2.9, does not tag
    "copy_", "hardswish", "hardswish_", "hardtanh", "hardtanh_", "native_dropout",
}  # fmt: skip
REDUCTIONS = {
    "all", "amax", "amin", "any", "argmax", "linalg_vector_norm", "logsumexp", "max", "mean",
    "min", "norm", "prod", "std", "sum", "var", "var_mean",
}  # fmt: skip
ALONG_ONE = {"_softmax", "_log_softmax", "cumsum", "cumprod"}
SPATIAL = re.compile(r"(pool|upsample|reflection_pad|replication_pad|grid_sampler)")


@dataclass(frozen=True)
class Sizing:
    """The labels behind the sizes of one operation; ``groups`` of a convolution by channels."""

    inputs: tuple[Tensor, ...]
    output: Tensor
    groups: Tensor | None = None


@dataclass(frozen=True)
class Flow:
    """Where the channels of a network come from and where they go.

    Attributes:
        operations: of ``forward``, as executed.
        sizings: one an operation.
        writes: for each module that writes or passes on channels, ``(channels,)`` labels; in
            the order of execution.
        reads: for each module that mixes channels, the ``(channels,)`` labels of its input.
        book: which labels stand or fall together.
        sliced: the labels of tensors of which only a part of the channels was taken.
        output: shapes of the output.
    """

    operations: tuple[Operation, ...]
    sizings: tuple[Sizing, ...]
    writes: dict[str, Tensor]
    reads: dict[str, Tensor]
    book: LabelBook
    sliced: tuple[Tensor, ...]
    output: tuple[tuple[int, ...], ...]


def follow_channels(model: nn.Module, example_input: Tensor) -> Flow:
    """Run ``model``, in eval mode, and follow its channels.

    What ``training_outputs`` reads, where the model has it, is followed too.
    """
    running: list[str] = []
    modules = dict(model.named_modules())
    training_outputs = getattr(model, "training_outputs", None)
    with torch.no_grad(), named_scopes(model, running), _Follower(running, modules) as follower:
        follower.watch_input(example_input)
        output = model(example_input)
        deployed = len(follower.operations)
        follower.keep_outputs(output)
        if training_outputs is not None:
            follower.keep_outputs(training_outputs(example_input))
    return Flow(
        tuple(follower.operations[:deployed]),
        tuple(follower.sizings[:deployed]),
        follower.writes,
        follower.reads,
        follower.book,
        tuple(follower.sliced),
        tuple(tuple(tensor.shape) for tensor in tensors_in(output)),
    )


class _Follower(Recorder):  # type: ignore[no-untyped-call]
    def __init__(self, running: Sequence[str], modules: dict[str, nn.Module]) -> None:
        super().__init__(running)
        self.book = LabelBook()
        self.sliced: list[Tensor] = []
        self.sizings: list[Sizing] = []
        self.writes: dict[str, Tensor] = {}
        self.reads: dict[str, Tensor] = {}
        self._passed: dict[str, Tensor] = {}  # what went into a depthwise convolution
        self._by_name = modules
        self._labels: dict[int, Tensor] = {}
        self._handlers: dict[str, Callable[[Any, Any], Tensor]] = {
            "convolution": self._convolution,
            "addmm": lambda args, result: self._linear(args[1], args[2], result),
            "mm": lambda args, result: self._linear(args[0], args[1], result),
            "native_batch_norm": self._batch_norm,
            "_native_batch_norm_legit_no_training": self._batch_norm,
            "_batch_norm_no_update": self._batch_norm,
            "cudnn_batch_norm": self._batch_norm,
            "native_group_norm": self._group_norm,
            "native_layer_norm": self._layer_norm,
            "_prelu_kernel": self._prelu,
            "cat": self._concat,
            "constant_pad_nd": self._pad,
        }

    def keep_outputs(self, output: Any) -> None:
        """Lock the channels that the network gives away."""
        for tensor in tensors_in(output):
            self.book.lock(self._of(tensor), "its channels are the network's output")

    def _followed(self, func: Any, name: str, args: Any, result: Any) -> None:
        inputs = tuple(self._of(t) for t in tensors_in(args) if self._depends_on_input(t))
        labels = self._labelled(func, name, args, result)
        for tensor, found in zip(tensors_in(result), labels, strict=False):
            self._labels[id(tensor)] = found
        if name not in VIEWS:
            groups = None
            if name == "convolution" and self._running_name in self._passed:
                groups = self._passed[self._running_name].view(args[8], -1)[:, 0]
            self.sizings.append(Sizing(inputs, labels[0], groups))

    def _labelled(self, func: Any, name: str, args: Any, result: Any) -> list[Tensor]:
        """Return the labels of each tensor in ``result``."""
        outputs = list(tensors_in(result))
        if name in self._handlers:
            return [self._handlers[name](args, outputs[0])]
        if name in MOVES or name in VIEWS:
            return self._moved(func, name, args, outputs)
        if torch.Tag.pointwise in func.tags or name in POINTWISE or name.endswith("_like"):
            return [self._pointwise(args, outputs[0])] * len(outputs)
        if name in REDUCTIONS:
            return [self._reduced(func, args, outputs[0])] * len(outputs)
        if name in ALONG_ONE:
            labels = self._of(args[0])
            return [self._joined(labels, [args[1] % labels.dim()], "are normalised together")]
        if SPATIAL.search(name):
            return [self._spatial(name, args)] * len(outputs)
        return [self._unknown(name, args, output) for output in outputs]

    @property
    def _running_name(self) -> str:
        return self._modules[-1] if self._modules else ""

    @property
    def _running(self) -> nn.Module | None:
        return self._by_name.get(self._running_name)

    def _of(self, tensor: Tensor) -> Tensor:
        """The labels of ``tensor``, with size 1 where they do not vary."""
        found = self._labels.get(id(tensor))
        return _fixed(tensor) if found is None else found

    def _unknown(self, name: str, args: Any, output: Tensor) -> Tensor:
        for tensor in tensors_in(args):
            if self._depends_on_input(tensor):
                self.book.lock(
                    self._of(tensor), f"it is not known how {name} treats channels, and it is run"
                )
        return _fixed(output)

    def _convolution(self, args: Any, output: Tensor) -> Tensor:
        given, groups, module = self._uniform(args[0], 1), args[8], self._running
        own = isinstance(module, CONVOLUTIONS) and module.in_channels == args[0].shape[1]
        if not own or module is None or self._depends_on_input(args[1]):
            self.book.lock(given, "a convolution outside a layer reads its channels")
            return _fixed(output)
        name, count = self._running_name, output.shape[1]
        if name in self.writes:  # called before
            self.book.join(self.reads.get(name, self._passed.get(name, given)), given)
        elif passes_channels(module):
            units = given.view(groups, -1)
            self.book.join(units[:, :1], units, f"{name} reads its groups of channels as one")
            self._passed[name] = given
            self.writes[name] = units[:, 0].repeat_interleave(count // groups)
        else:
            self.reads[name], self.writes[name] = given, self.book.new(count)
            if groups > 1:
                why = f"every group of {name} loses as many channels"
                for labels in (given, self.writes[name]):
                    self.book.join(labels.view(groups, -1)[:1], labels.view(groups, -1), why)
        return _along(self.writes[name], 1, output)

    def _linear(self, given: Tensor, weight: Tensor, output: Tensor) -> Tensor:
        read, name = self._uniform(given, 1), self._running_name
        if not isinstance(self._running, nn.Linear) or self._depends_on_input(weight):
            self.book.lock(read, "a matrix product outside a layer reads its channels")
            if self._depends_on_input(weight):
                self.book.lock(self._of(weight), "a matrix product outside a layer reads them")
            return _fixed(output)
        if name in self.writes:
            self.book.join(self.reads[name], read)
        else:
            self.reads[name], self.writes[name] = read, self.book.new(output.shape[1])
        return _along(self.writes[name], 1, output)

    def _batch_norm(self, args: Any, output: Tensor) -> Tensor:
        labels = self._uniform(args[0], 1)
        module = self._running
        if isinstance(module, _InstanceNorm):  # sees every image's channels side by side
            self.book.join(
                labels.view(-1, module.num_features)[0], labels.view(-1, module.num_features)
            )
            self._pass_on(labels[: module.num_features])
        elif isinstance(module, _BatchNorm):
            self._pass_on(labels)
        else:
            self.book.lock(labels, "a batch norm outside a layer reads its channels")
        return _along(labels, 1, output)

    def _group_norm(self, args: Any, output: Tensor) -> Tensor:
        labels = self._uniform(args[0], 1)
        if isinstance(self._running, nn.GroupNorm):
            self._pass_on(labels)
        else:
            self.book.lock(labels, "a group norm outside a layer reads its channels")
        blocks = labels.view(args[6], -1)
        why = f"{self._running_name} standardises over a group's channels at once"
        self.book.join(blocks[:, :1], blocks, why)
        return _along(labels, 1, output)

    def _layer_norm(self, args: Any, output: Tensor) -> Tensor:
        labels = self._of(args[0])
        dims = [output.dim() - 1 - place for place in range(len(args[1]))]
        self._joined(labels, dims, f"are standardised together by {self._running_name}")
        return labels

    def _prelu(self, args: Any, output: Tensor) -> Tensor:
        module = self._running
        if isinstance(module, nn.PReLU) and module.num_parameters > 1:
            labels = self._uniform(args[0], 1)
            self._pass_on(labels)
            return _along(labels, 1, output)
        return self._of(args[0])

    def _pass_on(self, labels: Tensor) -> None:
        name = self._running_name
        self.book.join(self.writes.setdefault(name, labels), labels)

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

    def _reduced(self, func: Any, args: Any, output: Tensor) -> Tensor:
        labels = self._of(args[0])
        names = [argument.name for argument in func._schema.arguments]
        place = names.index("dim") if "dim" in names else len(args)
        dims = args[place] if place < len(args) else None
        every = range(labels.dim())
        dims = [dims] if isinstance(dims, int) else list(every) if not dims else list(dims)
        dims = sorted({dim % labels.dim() for dim in dims}) if labels.dim() else []
        self._joined(labels, dims, "are averaged or summed up")
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
        source = args[0]
        if name in ("clone", "_to_copy", "alias", "detach", "lift_fresh"):
            return [self._of(source)]
        if name in ("view", "_unsafe_view", "reshape"):
            return [compressed(self._spread(source).reshape(outputs[0].shape))]
        moved = list(tensors_in(func(*tree_map(self._spread, args))))
        if name == "split" and isinstance(args[1], int) and len(moved) > 1:
            self._chunked(moved, args[2] if len(args) > 2 else 0)
        parts = [compressed(labels) for labels in moved]
        if name in VIEWS and any(part.numel() < self._of(source).numel() for part in parts):
            self.sliced.append(self._of(source))
        return parts

    def _chunked(self, parts: list[Tensor], dim: int) -> None:
        """Halves of a channel axis stay halves only if they lose as many channels."""
        if len({part.shape for part in parts}) == 1 and parts[0].shape[dim] > 1:
            whole = torch.stack([compressed(part) for part in parts])
            if whole.shape[1:].numel() > 1:
                self.book.join(whole[:1], whole, "is split into parts of equal size")

    def _spread(self, value: Any) -> Any:
        """Labels in place of values, as large; those of a constant are fixed."""
        if not isinstance(value, Tensor) or not value.is_floating_point():
            return value
        labels = self._of(value) if self._depends_on_input(value) else _fixed(value)
        return labels.expand(value.shape)

    def _concat(self, args: Any, output: Tensor) -> Tensor:
        dim = (args[1] if len(args) > 1 else 0) % output.dim()
        parts = []
        for tensor in args[0]:
            if tensor.dim() != output.dim():  # an empty tensor is let through
                continue
            labels = self._of(tensor) if self._depends_on_input(tensor) else _fixed(tensor)
            shape = list(labels.shape)
            shape[dim] = tensor.shape[dim]
            parts.append(labels.expand(shape))
        shape = [max(sizes) for sizes in zip(*(part.shape for part in parts), strict=True)]
        spread = []
        for part in parts:
            shape[dim] = part.shape[dim]
            spread.append(part.expand(shape))
        return compressed(torch.cat(spread, dim))

    def _pad(self, args: Any, output: Tensor) -> Tensor:
        labels = self._of(args[0])
        pad = list(args[1])
        for place in range(len(pad) // 2):
            if labels.shape[-1 - place] == 1:  # what is added to height or width is no channel
                pad[2 * place : 2 * place + 2] = [0, 0]
        return torch.nn.functional.pad(labels, pad, value=FIXED)

    def _pointwise(self, args: Any, output: Tensor) -> Tensor:
        """Channels that meet stand or fall together."""
        inputs = [t for t in tensors_in(args) if self._depends_on_input(t)]
        result = _fixed(output)
        for place, tensor in enumerate(inputs):
            labels = _aligned(self._of(tensor), output.dim())
            shape = _aligned_shape(tensor, output.dim())
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
        shape = _aligned_shape(constant, labels.dim())
        if any(shape[dim] > 1 for dim in varying(labels)):
            base = constant._base if constant._is_view() else constant
            bare = isinstance(base, nn.Parameter)
            what = "bare parameter" if bare else "constant"
            owner = self._running_name or "the network"
            self.book.lock(labels, f"a {what} in {owner} holds a value for each of its channels")


def _fixed(tensor: Tensor) -> Tensor:
    return torch.full([1] * tensor.dim(), FIXED)


def _along(labels: Tensor, dim: int, tensor: Tensor) -> Tensor:
    shape = [1] * tensor.dim()
    shape[dim] = len(labels)
    return labels.reshape(shape)


def _aligned(labels: Tensor, dims: int) -> Tensor:
    return labels.reshape([1] * (dims - labels.dim()) + list(labels.shape))


def _aligned_shape(tensor: Tensor, dims: int) -> list[int]:
    return [1] * (dims - tensor.dim()) + list(tensor.shape)
