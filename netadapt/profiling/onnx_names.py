"""Which traced operation each node of an exported graph is part of."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np

from netadapt.errors import UserError
from netadapt.pruning import Operation
from netadapt.pruning.operations import ATTENTION, MULTIPLYING, kind_of

KIND_OF = {
    "Conv": "conv2d",
    "ConvTranspose": "conv2d",
    "BatchNormalization": "batch_norm",
    "Relu": "activation",
    "Clip": "activation",
    "LeakyRelu": "activation",
    "Elu": "activation",
    "Sigmoid": "activation",
    "Tanh": "activation",
    "HardSwish": "activation",
    "HardSigmoid": "activation",
    "Gelu": "activation",
    "Add": "add",
    "Sub": "sub",
    "Mul": "mul",
    "Div": "div",
    "Concat": "concat",
    "Resize": "upsample",
    "MaxPool": "pool",
    "AveragePool": "pool",
    "GlobalAveragePool": "pool",
    "ReduceMean": "pool",
    "Pad": "pad",
    "Gemm": "linear",
    "MatMul": "linear",
    "LayerNormalization": "native_layer_norm",
    "Softmax": "_softmax",
    "DepthToSpace": "pixel_shuffle",
}
# what torch.export keeps as one and eager PyTorch carries out as one or several of these
PARTS_OF: dict[str, frozenset[str]] = {
    "scaled_dot_product_attention": frozenset({*ATTENTION, "bmm"}),
    "matmul": frozenset({"bmm", "linear"}),
    "einsum": frozenset({"bmm", "linear", "mul"}),
    "softmax": frozenset({"_softmax", "_safe_softmax"}),
    "group_norm": frozenset({"native_group_norm"}),
    "layer_norm": frozenset({"native_layer_norm"}),
    "rms_norm": frozenset({"_fused_rms_norm", "pow"}),
    "instance_norm": frozenset({"batch_norm"}),
    "grid_sampler": frozenset({"grid_sampler_2d"}),
    "prelu": frozenset({"_prelu_kernel"}),
    "gru": frozenset({"linear"}),
    "lstm": frozenset({"linear", "mkldnn_rnn_layer"}),
}
# nodes that the runtime folds into constants, or that stand for views in torch: what they take
# belongs to the operation before them
FREE = {
    "Constant", "Shape", "Expand", "CastLike", "Cast", "Identity", "Reshape", "Squeeze",
    "Unsqueeze", "Flatten", "Slice", "Split", "Transpose",
}  # fmt: skip
# what takes most of a network's time: never booked on another operation by mistake
MULTIPLYING_NODES = {"Conv", "ConvTranspose", "Gemm", "MatMul", "Einsum", "GRU", "LSTM", "RNN"}
CERTAIN, SAME_NAME, LIKELY = 1000.0, 3.0, 2.0

EXPORTED = "pkg.torch.onnx.fx_node"  # where the exporter notes which operation a node is part of


@dataclass(frozen=True)
class _Exported:
    """The nodes that one operation of ``torch.export`` became."""

    source: str
    nodes: tuple[Any, ...]

    @property
    def working(self) -> list[Any]:
        return [node for node in self.nodes if node.op_type not in FREE]

    @property
    def multiplies(self) -> bool:
        return any(node.op_type in MULTIPLYING_NODES for node in self.nodes)

    def weights(self) -> dict[str, float]:
        """How well it fits to each kind of traced operation."""
        kinds = dict.fromkeys(
            (KIND_OF[node.op_type] for node in self.nodes if node.op_type in KIND_OF), LIKELY
        )
        kinds |= dict.fromkeys(PARTS_OF.get(self.source, ()), SAME_NAME)
        kinds[kind_of(self.source)] = SAME_NAME
        return {
            kind: weight + (CERTAIN if kind in MULTIPLYING else 0)
            for kind, weight in kinds.items()
            if (kind in MULTIPLYING) <= self.multiplies
        }


def name_after_operations(graph: Any, operations: Sequence[Operation]) -> None:
    """Name every node after the traced operation that it carries out.

    Export and trace run the same code: both see operations in one order, some of them in other
    parts. The two are aligned so that what multiplies is matched throughout, and as much of the
    rest as can be. What has no partner is part of what runs before it; operations that move data
    only, such as copies, may have no node at all.

    Raises:
        UserError: a convolution or matrix product has no partner.
    """
    groups = [_Exported(source, tuple(nodes)) for source, nodes in _grouped(graph)]
    kinds = ["" if one.unused else one.kind for one in operations]
    partner = _aligned([group.weights() for group in groups], kinds)
    _require_all_matched(groups, operations, partner)
    renamed: dict[str, str] = {}
    before = -1
    for group, found in zip(groups, partner, strict=True):
        before = before if found is None else found
        bearers = {id(node) for node in group.working or (group.nodes if found is not None else ())}
        for node in group.nodes:
            node.input[:] = [renamed.get(name, name) for name in node.input]
            if before >= 0 and id(node) in bearers:
                node.name = renamed[node.output[0]] = f"netadapt_op{before}_{len(renamed)}"
                node.output[0] = node.name
    for output in graph.output:
        output.name = renamed.get(output.name, output.name)


def _grouped(graph: Any) -> list[tuple[str, list[Any]]]:
    """The nodes that depend on an input, by the exported operation that they are part of."""
    return [(key[1], list(nodes)) for key, nodes in groupby(_executed(graph), key=_source)]


def _executed(graph: Any) -> list[Any]:
    """The nodes that depend on an input; the others are computed when a graph is loaded."""
    reached = {given.name for given in graph.input}
    found = []
    for node in graph.node:
        if not reached.isdisjoint(node.input):
            reached.update(node.output)
            found.append(node)
    return found


def _source(node: Any) -> tuple[str, str]:
    """The exported operation that ``node`` is part of: its own name, and torch's."""
    for entry in node.metadata_props:
        if entry.key == EXPORTED:
            torch_name = re.search(r"target=torch\.ops\.\w+\.(\w+)", entry.value)
            return entry.value.partition(" ")[0], torch_name[1] if torch_name else ""
    return node.name, ""


def _aligned(groups: Sequence[dict[str, float]], kinds: Sequence[str]) -> list[int | None]:
    """Return for each group the place of the kind it is matched with, in rising order.

    The sum of weights is as large as it can be: a longest common subsequence (Needleman and
    Wunsch, 1970, without gap costs).
    """
    names = np.array(kinds)
    fits = np.zeros((len(groups), len(kinds)))
    for row, weights in enumerate(groups):
        for kind, weight in weights.items():
            fits[row, names == kind] = weight
    best = np.zeros((len(groups) + 1, len(kinds) + 1))
    for row in range(len(groups)):
        step = np.where(fits[row] > 0, best[row, :-1] + fits[row], 0)
        best[row + 1, 1:] = np.maximum.accumulate(np.maximum(best[row, 1:], step))
    partner: list[int | None] = [None] * len(groups)
    row, column = len(groups), len(kinds)
    while row and column:
        fit = fits[row - 1, column - 1]
        if fit and best[row, column] == best[row - 1, column - 1] + fit:
            row, column = row - 1, column - 1
            partner[row] = column
        elif best[row, column] == best[row, column - 1]:
            column -= 1
        else:
            row -= 1
    return partner


def _require_all_matched(
    groups: Sequence[_Exported], operations: Sequence[Operation], partner: Sequence[int | None]
) -> None:
    for group, found in zip(groups, partner, strict=True):
        if found is None and group.multiplies:
            node = group.working[0]
            raise UserError(
                f"cannot time {node.op_type} ({node.name}) in onnxruntime: no traced "
                "operation stands for it; use --runtime torch"
            )
    matched = {found: group for group, found in zip(groups, partner, strict=True)}
    inside = False  # of something that the exporter keeps as one, whose last part is matched
    left: dict[str, int] = {}
    for place, operation in reversed(list(enumerate(operations))):
        if place in matched:
            inside = matched[place].source in PARTS_OF
        elif operation.kind in MULTIPLYING and not inside and not operation.unused:
            left[operation.kind] = left.get(operation.kind, 0) + 1
    if left:
        named = ", ".join(f"{kind} ({count})" for kind, count in left.items())
        raise UserError(
            f"cannot time this network in onnxruntime: {named} not found in its ONNX "
            "graph; use --runtime torch"
        )
