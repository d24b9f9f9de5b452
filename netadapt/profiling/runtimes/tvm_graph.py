"""ONNX graphs as TVM takes them: constants computed, batch norms folded."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Constants = dict[str, NDArray[Any]]


def operations_of(name: str) -> tuple[int, ...]:
    """Return the traced operations that a node or kernel of this name carries out."""
    return tuple(int(place) for place in re.findall(r"netadapt_op(\d+)", name))


def plain(model: Any) -> Any:
    """Return ``model`` in the form that TVM imports and compiles best.

    TVM imports no computed shapes. It reshapes every bias by compiling a program for it, and leaves
    a batch norm as four operations after its convolution.
    """
    nodes, constants = _without_constant_nodes(model)
    nodes = _with_batch_norms_folded(nodes, constants)
    nodes = [part for node in nodes for part in _parts(node, constants)]
    result = onnx.ModelProto()
    result.CopyFrom(model)
    read = {name for node in nodes for name in node.input}
    for field, filling in (
        (result.graph.node, nodes),
        (
            result.graph.initializer,
            [numpy_helper.from_array(a, n) for n, a in constants.items() if n in read],
        ),
    ):
        del field[:]
        field.extend(filling)
    return result


def _without_constant_nodes(model: Any) -> tuple[list[Any], Constants]:
    """Split a graph into the nodes that depend on its input and the values of the others."""
    stored = {tensor.name: tensor for tensor in model.graph.initializer}
    known = set(stored)
    fixed, nodes = [], []
    for node in model.graph.node:
        if all(not name or name in known for name in node.input):
            fixed.append(node)
            known.update(node.output)
        else:
            copied = onnx.NodeProto()
            copied.CopyFrom(node)
            nodes.append(copied)
    computed = {name for node in fixed for name in node.output}
    wanted = sorted(computed & {name for node in nodes for name in node.input})
    constants = {name: numpy_helper.to_array(tensor) for name, tensor in stored.items()}
    if wanted:
        graph = helper.make_graph(
            fixed,
            "constants",
            [],
            [helper.make_empty_tensor_value_info(name) for name in wanted],
            [stored[name] for name in stored if any(name in node.input for node in fixed)],
        )
        program = helper.make_model(
            graph, opset_imports=model.opset_import, ir_version=model.ir_version
        )
        values = ReferenceEvaluator(program).run(None, {})
        constants.update(
            (name, np.asarray(value)) for name, value in zip(wanted, values, strict=True)
        )
    return nodes, constants


def _with_batch_norms_folded(nodes: list[Any], constants: Constants) -> list[Any]:
    convolutions = {node.output[0]: node for node in nodes if node.op_type == "Conv"}
    readers = Counter(name for node in nodes for name in node.input)
    kept: list[Any] = []
    renamed: dict[str, str] = {}
    for node in nodes:
        for place, name in enumerate(node.input):
            node.input[place] = renamed.get(name, name)
        convolution = convolutions.get(node.input[0])
        if (
            node.op_type == "BatchNormalization"
            and convolution is not None
            and readers[node.input[0]] == 1
        ):
            _fold(node, convolution, constants)
            renamed[node.output[0]] = convolution.output[0]
        else:
            kept.append(node)
    return kept


def _fold(node: Any, convolution: Any, constants: Constants) -> None:
    gain, offset, mean, variance = (constants[name] for name in node.input[1:5])
    (epsilon,) = [a.f for a in node.attribute if a.name == "epsilon"] or [1e-5]
    scale = gain / np.sqrt(variance + epsilon)
    weight = constants[convolution.input[1]]
    bias = constants[convolution.input[2]] if len(convolution.input) > 2 else 0 * mean
    names = [convolution.output[0] + "_weight", convolution.output[0] + "_bias"]
    constants[names[0]] = (weight * scale[:, None, None, None]).astype(weight.dtype)
    constants[names[1]] = ((bias - mean) * scale + offset).astype(weight.dtype)
    del convolution.input[1:]
    convolution.input.extend(names)


def _parts(node: Any, constants: Constants) -> list[Any]:
    """Split the bias off a convolution; turn the bounds of a ``Clip`` into attributes."""
    if node.op_type == "Clip":
        return [_bounded(node, constants)]
    if node.op_type != "Conv" or len(node.input) < 3 or not node.input[2]:
        return [node]
    name, output = node.input[2] + "_per_channel", node.output[0]
    bias = constants[node.input[2]]
    constants[name] = bias.reshape(1, -1, *[1] * (constants[node.input[1]].ndim - 2))
    del node.input[2:]
    node.output[0] = output + "_unbiased"
    return [node, helper.make_node("Add", [node.output[0], name], [output], name=node.name)]


def _bounded(node: Any, constants: Constants) -> Any:
    given = dict(zip(("min", "max"), node.input[1:], strict=False))
    bounds: dict[str, Any] = {"min": float("-inf"), "max": float("inf")}
    bounds.update((bound, float(constants[name])) for bound, name in given.items() if name)
    return helper.make_node("Clip", node.input[:1], node.output, name=node.name, **bounds)
