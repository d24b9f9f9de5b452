"""The operations a network executes, and their sizes as linear functions of the widths."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from netadapt.errors import UserError

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
    "cat": "concat",
    "add_": "add",
    "mul_": "mul",
    "sub_": "sub",
    "div_": "div",
    "upsample_nearest2d": "upsample",
    "upsample_bilinear2d": "upsample",
    "max_pool2d_with_indices": "pool",
    "avg_pool2d": "pool",
    "_adaptive_avg_pool2d": "pool",
    "mean": "pool",
    "constant_pad_nd": "pad",
    "reflection_pad2d": "pad",
}
# operations that move no data: the tensor they return is the one they were given
VIEWS = {
    "view", "_unsafe_view", "reshape", "_reshape_alias", "expand", "t", "transpose", "permute",
    "alias", "detach", "squeeze", "unsqueeze", "slice", "select", "split", "split_with_sizes",
    "unbind", "getitem", "lift_fresh", "flatten",
}  # fmt: skip


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
        detail: what else its latency depends on: kernel, stride, padding, dilation, mode ...
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
    def macs(self) -> int:
        """Multiply-accumulates of a convolution or a linear layer, else 0."""
        numel = int(np.prod(self.output))
        if self.kind == "conv2d":
            if self.detail["transposed"]:
                numel = int(np.prod(self.inputs[0]))
                fan = self.output[1] // self.groups
            else:
                fan = self.inputs[0][1] // self.groups
            return numel * fan * int(np.prod(self.detail["kernel"]))
        if self.kind == "linear":
            return numel * self.inputs[0][-1]
        return 0


class _Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    def __init__(self, modules: Sequence[str] = ()) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.operations: list[Operation] = []
        self._modules = modules
        self._origin: dict[int, int] = {}
        self._alive: list[Tensor] = []  # an id() is only unique while its tensor lives

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = self._call(func, args, kwargs or {})
        outputs = list(_tensors(result))
        if not outputs:
            return result
        name = func.overloadpacket.__name__
        tensors = list(_tensors(args))
        data = [t for t in tensors if not isinstance(t, nn.Parameter) and id(t) in self._origin]
        if not data:  # reads no activation: constants, parameters, buffers
            return result
        if name in VIEWS:
            index = self._origin[id(data[0])]
        else:
            index = len(self.operations)
            self._add(name, args, data, outputs[0])
        for output in outputs:
            self._origin[id(output)] = index
            self._alive.append(output)
        return result

    def watch_input(self, tensor: Tensor) -> None:
        self._origin[id(tensor)] = -1
        self._alive.append(tensor)

    def _call(self, func: Any, args: Any, kwargs: Any) -> Any:
        return func(*args, **kwargs)

    def _add(self, name: str, args: Any, data: list[Tensor], output: Tensor) -> None:
        kind = "activation" if name in ACTIVATIONS else KINDS.get(name, name)
        detail, groups = _detail(name, args, output)
        operation = Operation(
            kind=kind,
            module=self._modules[-1] if self._modules else "",
            sources=tuple(self._origin[id(t)] for t in data),
            inputs=tuple(tuple(t.shape) for t in data),
            output=tuple(output.shape),
            groups=groups,
            detail=detail,
        )
        self.operations.append(operation)


class OperationTimer(_Recorder):  # type: ignore[no-untyped-call]
    """Times each operation of a forward pass, in the order ``record_operations`` gives.

    ``seconds`` holds one duration an operation; the bookkeeping between them is not timed.
    """

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__()
        self.seconds: list[float] = []
        self._clock = clock
        self._last = 0.0

    def _call(self, func: Any, args: Any, kwargs: Any) -> Any:
        start = self._clock()
        result = func(*args, **kwargs)
        self._last = self._clock() - start
        return result

    def _add(self, name: str, args: Any, data: list[Tensor], output: Tensor) -> None:
        self.seconds.append(self._last)
        self.operations.append(_UNNAMED)


_UNNAMED = Operation("", "", (), (), ())


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
    if name in ACTIVATIONS:
        kind = ACTIVATIONS[name]
        if kind == "hardtanh":
            low, high = (*args[1:3], -1.0, 1.0)[:2] if len(args) > 2 else (-1.0, 1.0)
            kind = "relu6" if (low, high) == (0, 6) else f"clamp({low:g},{high:g})"
        return {"activation": kind}, 1
    if name.startswith("upsample_"):
        return {"mode": name.removeprefix("upsample_").removesuffix("2d")}, 1
    if name in ("max_pool2d_with_indices", "avg_pool2d"):
        kernel = tuple(args[1])
        stride = tuple(args[2]) if len(args) > 2 and args[2] else kernel
        padding = tuple(args[3]) if len(args) > 3 else (0,) * len(kernel)
        mode = "max" if name.startswith("max") else "average"
        return {"kernel": kernel, "stride": stride, "padding": padding, "mode": mode}, 1
    if name in ("constant_pad_nd", "reflection_pad2d"):
        return {"padding": tuple(args[1]), "mode": name.split("_", maxsplit=1)[0]}, 1
    return {}, 1


def record_operations(model: nn.Module, example_input: Tensor) -> tuple[list[Operation], Any]:
    """Run ``model``, in eval mode, once and return its operations and its output's shapes."""
    modules: list[str] = []
    with torch.no_grad(), _named_scopes(model, modules), _Recorder(modules) as recorder:
        recorder.watch_input(example_input)
        output = model(example_input)
    return recorder.operations, [tuple(tensor.shape) for tensor in _tensors(output)]


@contextmanager
def _named_scopes(model: nn.Module, stack: list[str]) -> Iterator[None]:
    handles = []
    for name, module in model.named_modules():
        handles.append(module.register_forward_pre_hook(lambda *_, name=name: stack.append(name)))
        handles.append(module.register_forward_hook(lambda *_: (stack.pop(), None)[1]))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _tensors(item)
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))


@dataclass(frozen=True)
class OperationMap:
    """Every size of every operation as a linear function of the widths.

    Attributes:
        operations: as executed at the full widths.
        groups: the names of the groups, the order of the columns.
        constant: ``(D,)`` with D the sizes of all operations in a row.
        coefficient: ``(D, G)``; ``sizes = constant + coefficient @ widths``.
    """

    operations: tuple[Operation, ...]
    groups: tuple[str, ...]
    constant: NDArray[np.float64]
    coefficient: NDArray[np.float64]

    def sizes(self, widths: NDArray[Any]) -> NDArray[np.int64]:
        """Map ``(B, G)`` widths to the ``(B, D)`` sizes of all operations."""
        exact = self.constant + np.asarray(widths, dtype=np.float64) @ self.coefficient.T
        return np.rint(exact).astype(np.int64)

    def offsets(self) -> list[int]:
        """The row of ``constant`` at which each operation's sizes begin."""
        lengths = [len(operation.sizes) for operation in self.operations]
        return [0, *np.cumsum(lengths).tolist()][:-1]

    def at(self, widths: Sequence[int] | NDArray[Any]) -> tuple[Operation, ...]:
        """The operations of the network at ``(G,)`` widths."""
        row = self.sizes(np.asarray(widths)[None])[0].tolist()
        resized = []
        for operation, start in zip(self.operations, self.offsets(), strict=True):
            sizes = iter(row[start:])
            inputs = tuple(tuple(next(sizes) for _ in shape) for shape in operation.inputs)
            output = tuple(next(sizes) for _ in operation.output)
            resized.append(replace(operation, inputs=inputs, output=output, groups=next(sizes)))
        return tuple(resized)

    def macs(self, widths: Sequence[int] | NDArray[Any]) -> int:
        """Multiply-accumulates of the network at ``(G,)`` widths."""
        return sum(operation.macs for operation in self.at(widths))


def linear_map(
    full: Sequence[Operation],
    narrowed: Mapping[str, tuple[int, Sequence[Operation]]],
    widths: Mapping[str, int],
) -> OperationMap:
    """Solve the linear map from one trace at full width and one with each group narrowed.

    Args:
        full: the operations at ``widths``.
        narrowed: for each group, its smaller width and the operations with only it changed.
        widths: the full widths.

    Raises:
        UserError: narrowing a group changes which operations run.
    """
    base = _all_sizes(full)
    columns = []
    for group, (width, operations) in narrowed.items():
        sizes = _all_sizes(operations)
        if [op.kind for op in operations] != [op.kind for op in full] or len(sizes) != len(base):
            raise UserError(f"narrowing {group} changes which operations the network executes")
        columns.append((base - sizes) / (widths[group] - width))
    coefficient = np.stack(columns, axis=1) if columns else np.zeros((len(base), 0))
    constant = base - coefficient @ np.array([widths[group] for group in narrowed], dtype=float)
    return OperationMap(tuple(full), tuple(narrowed), constant, coefficient)


def _all_sizes(operations: Sequence[Operation]) -> NDArray[np.float64]:
    return np.array([size for op in operations for size in op.sizes], dtype=np.float64)
