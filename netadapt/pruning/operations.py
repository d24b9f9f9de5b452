"""The operations a network executes."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from netadapt.pruning.dispatch import OperationMode
from netadapt.pruning.examples import Example, output_tensors, run, tensors_in

Shape = tuple[int, ...]

ACTIVATIONS = {
    "relu": "relu",
    "relu_": "relu",
    "hardtanh": "hardtanh",
    "hardtanh_": "hardtanh",
    "leaky_relu": "leaky_relu",
    "leaky_relu_": "leaky_relu",
    "elu": "elu",
    "elu_": "elu",
    "sigmoid": "sigmoid",
    "sigmoid_": "sigmoid",
    "tanh": "tanh",
    "tanh_": "tanh",
    "silu": "silu",
    "silu_": "silu",
    "gelu": "gelu",
    "hardswish": "hardswish",
    "hardswish_": "hardswish",
    "hardsigmoid": "hardsigmoid",
    "hardsigmoid_": "hardsigmoid",
}
KINDS = {
    "convolution": "conv2d",
    "native_batch_norm": "batch_norm",
    "_native_batch_norm_legit_no_training": "batch_norm",
    "_batch_norm_no_update": "batch_norm",
    "cudnn_batch_norm": "batch_norm",
    "addmm": "linear",
    "mm": "linear",
    "baddbmm": "bmm",
    "cat": "concat",
    "add_": "add",
    "mul_": "mul",
    "sub_": "sub",
    "div_": "div",
    "upsample_nearest2d": "upsample",
    "upsample_bilinear2d": "upsample",
    "max_pool2d_with_indices": "pool",
    "avg_pool2d": "pool",
    "max_pool3d_with_indices": "pool",
    "avg_pool3d": "pool",
    "_adaptive_avg_pool3d": "pool",
    "_adaptive_avg_pool2d": "pool",
    "mean": "pool",
    "constant_pad_nd": "pad",
    "reflection_pad2d": "pad",
}
POOLS = {"max_pool2d_with_indices", "avg_pool2d", "max_pool3d_with_indices", "avg_pool3d"}
# differ with the precision, and with how tensors lie in memory
COPIES = ("_to_copy", "clone")
# operations that move no data: the tensor they return is the one they were given
VIEWS = {
    "view", "_unsafe_view", "reshape", "_reshape_alias", "expand", "t", "transpose", "permute",
    "alias", "detach", "squeeze", "unsqueeze", "slice", "select", "split", "split_with_sizes",
    "unbind", "getitem", "lift_fresh", "flatten", "as_strided", "as_strided_", "unsafe_split",
    "unsafe_split_with_sizes", "unsafe_chunk", "transpose_", "t_", "squeeze_", "unsqueeze_",
}  # fmt: skip

# fused: softmax(q k) v of (N, heads, positions, channels) each
ATTENTION = {
    "_scaled_dot_product_cudnn_attention", "_scaled_dot_product_efficient_attention",
    "_scaled_dot_product_flash_attention", "_scaled_dot_product_flash_attention_for_cpu",
    "_scaled_dot_product_fused_attention_overrideable",
}  # fmt: skip
ADDED_TO = {"addmm", "baddbmm"}  # matrix products behind what they are added to
# what takes most of a network's time
MULTIPLYING = frozenset({"conv2d", "linear", "bmm", "mkldnn_rnn_layer", *ATTENTION})


@dataclass(frozen=True)
class Operation:
    """One operation of the forward pass, before any runtime has fused it.

    Attributes:
        kind: ``conv2d``, ``batch_norm``, ``activation``, ``add``, ``upsample``, ...
        module: the innermost module that executed it.
        sources: for each tensor input, the operation it comes from, or -1.
        inputs: shapes of the tensor inputs, ``(N, C, H, W)`` for images.
        output: shape of the output.
        groups: of a convolution, else 1.
        detail: what else its latency depends on: kernel, stride, padding, dilation, mode, ...
            ``channels`` is the dimension of its output's channels if that is not the second;
            ``read`` has those of its inputs if they differ (``None``: none follows the widths);
            ``along_input`` is set if the input has channels and the output has none; ``unused``
            if no output of the network depends on it.
    """

    kind: str
    module: str
    sources: tuple[int, ...]
    inputs: tuple[Shape, ...]
    output: Shape
    groups: int = 1
    detail: Mapping[str, Any] = field(default_factory=dict)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Every size in one row: those of the inputs, of the output, and the groups."""
        return (*(size for shape in self.inputs for size in shape), *self.output, self.groups)

    @property
    def unused(self) -> bool:
        """Whether no output of the network depends on it: an exported file does not have it."""
        return bool(self.detail.get("unused", False))

    @property
    def macs(self) -> int:
        """Multiply-accumulates; 0 for what is not of ``MULTIPLYING``."""
        return int(multiply_accumulates(self, np.array([self.sizes]))[0])


def multiply_accumulates(operation: Operation, sizes: NDArray[Any]) -> NDArray[np.float64]:
    """Return ``(B,)`` multiply-accumulates of ``operation`` at ``(B, D)`` rows of its sizes.

    Convolutions, linear layers, matrix products, both products of attention, and LSTM layers
    count. 0 for all else.
    """
    sizes = np.asarray(sizes, dtype=np.float64)
    ends = np.cumsum([len(shape) for shape in (*operation.inputs, operation.output)])
    *inputs, output, groups = np.split(sizes, ends, axis=1)
    detail = operation.detail
    each: NDArray[np.float64] = output.prod(axis=1)
    if operation.kind == "conv2d":
        fan = inputs[0][:, 1]
        if detail["transposed"]:
            each, fan = inputs[0].prod(axis=1), output[:, 1]
        each *= (fan // groups[:, 0]) * float(np.prod(detail["kernel"]))
    elif operation.kind in ("linear", "bmm") and detail["summed"] is not None:
        place, dim = detail["summed"]
        each *= inputs[place][:, dim]
    elif operation.kind in ATTENTION:  # each query meets every key, then every value
        keys, width = detail["summed"]
        each = output[:, :-1].prod(axis=1) * keys * (width + output[:, -1])
    elif operation.kind == "mkldnn_rnn_layer":
        each = inputs[0][:, :-1].prod(axis=1) * float(detail["weights"])
    else:
        each *= 0
    return each


def kind_of(name: str) -> str:
    """Return the kind of the operation that torch calls ``name``."""
    return "activation" if name in ACTIVATIONS else KINDS.get(name, name)


class Recorder(OperationMode):  # type: ignore[no-untyped-call]
    """Records the operations of a forward pass that depend on a watched input.

    Args:
        modules: the names of the modules that are running, the innermost last.
    """

    def __init__(self, modules: Sequence[str] = ()) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operations: list[Operation] = []
        self._modules = modules
        self._origin: dict[int, int] = {}
        self._written: dict[int, int] = {}  # by storage
        self._in_place: set[int] = set()  # what wrote into memory that others may read
        self._channels: dict[int, int] = {}  # the dimension of each tensor's channels
        self._alive: list[Tensor] = []  # an id() is only unique while its tensor lives

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = self._call(func, args, kwargs or {})
        outputs = list(tensors_in(result))
        if not outputs:
            return result
        name = func.overloadpacket.__name__
        read = args[1:] if name == "copy_" else args  # what it writes over does not matter
        data = [tensor for tensor in tensors_in(read) if self._depends_on_input(tensor)]
        if not data or name.startswith("new_"):  # reads no values of an activation
            self._constant(func, name, args, outputs)
            return result
        channels = _channel_dim(name, args, data[0], self._channels.get(id(data[0]), 1), outputs[0])
        self._channels.update(dict.fromkeys(map(id, outputs), channels))
        if name in VIEWS:
            index = self._origin_of(data[0])
        else:
            index = len(self.operations)
            self._add(name, args, data, outputs[0])
        self._followed(func, name, args, data, result)
        for output in outputs:
            self._origin[id(output)] = index
            self._alive.append(output)
        if func._schema.is_mutable:  # a slice of a constant may have been written
            self._written[storage_of(outputs[0])] = index
            self._in_place.add(index)
        return result

    def watch_input(self, example: Example) -> None:
        """Record what depends on the tensors of ``example``."""
        for tensor in tensors_in(example):
            self._origin[id(tensor)] = -1
            self._alive.append(tensor)

    def note_unused(self, output: Any) -> None:
        """Mark the operations that no tensor of ``output``, which the network gives, depends on."""
        for place in self._unneeded(output):
            operation = self.operations[place]
            detail = {**operation.detail, "unused": True}
            self.operations[place] = replace(operation, detail=detail)

    def _unneeded(self, output: Any, start: int = 0) -> set[int]:
        """Return the operations from ``start`` on without which ``output`` would be the same."""
        given = [tensor for tensor in output_tensors(output) if self._depends_on_input(tensor)]
        if not given:
            return set()
        needed = {self._origin_of(tensor) for tensor in given} | self._in_place
        for place in reversed(range(len(self.operations))):
            if place in needed:
                needed.update(self.operations[place].sources)
        return set(range(start, len(self.operations))) - needed

    def depends_on_input(self, tensor: Tensor) -> bool:
        """Whether ``tensor`` holds what was computed from a watched input."""
        return self._depends_on_input(tensor)

    def origin_of(self, tensor: Tensor) -> int:
        """The place of the operation that made ``tensor``; -1 for an input."""
        return self._origin_of(tensor)

    def _depends_on_input(self, tensor: Tensor) -> bool:
        if isinstance(tensor, nn.Parameter):
            return False
        return id(tensor) in self._origin or storage_of(tensor) in self._written

    def _origin_of(self, tensor: Tensor) -> int:
        known = self._origin.get(id(tensor))
        return self._written[storage_of(tensor)] if known is None else known

    def _followed(self, func: Any, name: str, args: Any, data: list[Tensor], result: Any) -> None:
        return

    def _constant(self, func: Any, name: str, args: Any, outputs: list[Tensor]) -> None:
        return

    def _call(self, func: Any, args: Any, kwargs: Any) -> Any:
        return func(*args, **kwargs)

    def _add(self, name: str, args: Any, data: list[Tensor], output: Tensor) -> None:
        kind = kind_of(name)
        detail, groups = _detail(name, args, output)
        if kind in ("linear", "bmm"):
            detail["summed"] = _summed(args[1:3] if name in ADDED_TO else args[:2], data)
        channels = self._channels[id(output)]
        if channels != min(1, output.dim() - 1):
            detail["channels"] = channels
        operation = Operation(
            kind=kind,
            module=self._modules[-1] if self._modules else "",
            sources=tuple(self._origin_of(tensor) for tensor in data),
            inputs=tuple(tuple(t.shape) for t in data),
            output=tuple(output.shape),
            groups=groups,
            detail=detail,
        )
        self.operations.append(operation)


class OperationTimer(Recorder):  # type: ignore[no-untyped-call]
    """Times each operation of a forward pass, in the order ``record_operations`` gives.

    ``seconds`` holds one duration per operation, ``kinds`` its kind. The bookkeeping between
    operations is not timed.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__()
        self.seconds: list[float] = []
        self.kinds: list[str] = []
        self._clock = clock
        self._last = 0.0

    def _call(self, func: Any, args: Any, kwargs: Any) -> Any:
        start = self._clock()
        result = func(*args, **kwargs)
        self._last = self._clock() - start
        return result

    def _add(self, name: str, args: Any, data: list[Tensor], output: Tensor) -> None:
        self.seconds.append(self._last)
        self.kinds.append(kind_of(name))
        self.operations.append(_UNNAMED)


_UNNAMED = Operation("", "", (), (), ())


def _channel_dim(name: str, args: Any, given: Tensor, channels: int, output: Tensor) -> int:
    """Return the dimension of ``output`` with its channels; those of ``given`` are ``channels``."""
    if name == "convolution":
        return 1
    if name == "permute":
        return [dim % given.dim() for dim in args[1]].index(channels)
    if name in ("transpose", "t", "transpose_", "t_"):
        swapped = {dim % given.dim() for dim in args[1:3]} or {0, 1}
        return next(iter(swapped - {channels})) if channels in swapped else channels
    last = channels == given.dim() - 1 and output.shape[-1:] == given.shape[-1:]
    if name in VIEWS and last:
        return output.dim() - 1
    return channels if output.dim() == given.dim() else min(1, output.dim() - 1)


def _summed(factors: Sequence[Tensor], data: Sequence[Tensor]) -> tuple[int, int] | None:
    """Return which input a matrix product sums over, and which side; None for constants."""
    for factor, dim in zip(factors, (-1, -2), strict=True):
        for place, given in enumerate(data):
            if given is factor:
                return place, dim
    return None


def storage_of(tensor: Tensor) -> int:
    """Return a key for the memory of a tensor; it is unique while the tensor lives."""
    address: int = tensor.untyped_storage()._cdata
    return address


def _detail(name: str, args: Any, output: Tensor) -> tuple[dict[str, Any], int]:
    if name == "convolution":
        _, weight, bias, stride, padding, dilation, transposed, _, groups = args
        return {
            "kernel": tuple(weight.shape[2:]),
            "stride": tuple(stride),
            "padding": tuple(padding),
            "dilation": tuple(dilation),
            "transposed": bool(transposed),
            "bias": bias is not None,
        }, int(groups)
    if name in ATTENTION:
        return {"summed": (args[1].shape[-2], args[1].shape[-1])}, 1
    if name == "mkldnn_rnn_layer":
        return {"weights": sum(weight.numel() for weight in args[1:3])}, 1
    if name in ACTIVATIONS:
        kind = ACTIVATIONS[name]
        if kind == "hardtanh":
            low, high = (*args[1:3], -1.0, 1.0)[:2] if len(args) > 2 else (-1.0, 1.0)
            kind = "relu6" if (low, high) == (0, 6) else f"clamp({low:g},{high:g})"
        return {"activation": kind}, 1
    if name.startswith("upsample_"):
        return {"mode": name.removeprefix("upsample_").removesuffix("2d")}, 1
    if name in POOLS:
        kernel = tuple(args[1])
        stride = tuple(args[2]) if len(args) > 2 and args[2] else kernel
        padding = tuple(args[3]) if len(args) > 3 else (0,) * len(kernel)
        mode = "max" if name.startswith("max") else "average"
        return {"kernel": kernel, "stride": stride, "padding": padding, "mode": mode}, 1
    if name in ("constant_pad_nd", "reflection_pad2d"):
        return {"padding": tuple(args[1]), "mode": name.split("_", maxsplit=1)[0]}, 1
    return {}, 1


def record_operations(model: nn.Module, example_input: Example) -> tuple[list[Operation], Any]:
    """Run ``model``, in eval mode, once and return its operations and its output."""
    modules: list[str] = []
    with (
        torch.no_grad(),
        every_module_runs(),
        named_scopes(model, modules),
        Recorder(modules) as recorder,
    ):
        recorder.watch_input(example_input)
        output = run(model, example_input)
        recorder.note_unused(output)
    return recorder.operations, output


@contextmanager
def every_module_runs() -> Iterator[None]:
    """While open, attention calls its layers one by one, not one kernel for all of them."""
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


@contextmanager
def named_scopes(model: nn.Module, stack: list[str]) -> Iterator[None]:
    """Keep the names of the modules that are running in ``stack``, the innermost last."""
    handles = []
    for name, module in model.named_modules():
        handles.append(module.register_forward_pre_hook(lambda *_, name=name: stack.append(name)))
        handles.append(
            module.register_forward_hook(lambda *_: (stack.pop(), None)[1], always_call=True)
        )
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
