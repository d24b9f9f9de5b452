"""Rewrites of an ONNX graph that do not change its outputs."""

import tempfile
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper
from onnxruntime.quantization.shape_inference import quant_pre_process
from onnxruntime.transformers.float16 import convert_float_to_float16

# computed value by value: before or behind a nearest upsampling they give the same
ELEMENTWISE = {
    "Relu", "Clip", "LeakyRelu", "Elu", "Sigmoid", "Tanh", "HardSwish", "HardSigmoid", "Gelu",
}  # fmt: skip

MOVING = {*ELEMENTWISE, "BatchNormalization"}


def simplified(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return ``model`` with constants computed, batch norms folded and all shapes inferred."""
    with tempfile.TemporaryDirectory(prefix="netadapt-export-") as folder:
        given, path = Path(folder) / "given.onnx", Path(folder) / "simplified.onnx"
        given.write_bytes(model.SerializeToString())
        quant_pre_process(given, path, skip_symbolic_shape=True)
        result = onnx.load(str(path))
    assert isinstance(result, onnx.ModelProto)
    return result


def in_float16(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy of ``model`` that computes in float16 and answers in float32."""
    copied = onnx.ModelProto()
    copied.CopyFrom(model)
    halved = convert_float_to_float16(copied, keep_io_types=True)
    assert isinstance(halved, onnx.ModelProto)
    return halved


def commute_upsampling(model: onnx.ModelProto) -> int:
    """Move every 1x1 convolution that alone reads a nearest upsampling before it, in place.

    A nearest upsampling repeats pixels, and a 1x1 convolution treats each pixel alone. The
    convolution then computes a quarter of the pixels (at a factor of 2), and the activations
    behind it move with it.

    Args:
        model: a graph. Batch norms that ``simplified`` has not folded move with the convolution.

    Returns:
        How many convolutions were moved.
    """
    graph = model.graph
    constants = _constants(graph)
    computed = _computed_before(graph, constants)
    nodes = list(onnx.ModelProto.FromString(model.SerializeToString()).graph.node)
    moved = 0
    for resize in [node for node in nodes if node.op_type == "Resize"]:
        if not _is_spatial_nearest(resize, constants):
            continue
        reader = _only_reader(graph, nodes, resize)
        if reader is None or not _is_pointwise(reader, constants, computed):
            continue
        moved += 1
        _swap(graph, nodes, resize, reader)
        while (reader := _only_reader(graph, nodes, resize)) and reader.op_type in MOVING:
            _swap(graph, nodes, resize, reader)
    if moved:
        del graph.node[:]
        graph.node.extend(_in_order(nodes))
        del graph.value_info[:]  # shapes between the swapped nodes have changed
        model.CopyFrom(onnx.shape_inference.infer_shapes(model))
    return moved


def _is_spatial_nearest(resize: Any, constants: dict[str, Any]) -> bool:
    """Whether a ``Resize`` repeats pixels and leaves batch and channels as they are."""
    attributes = {attribute.name: attribute for attribute in resize.attribute}
    mode = attributes["mode"].s if "mode" in attributes else b"nearest"
    scales = resize.input[2] if len(resize.input) > 2 else ""
    if mode != b"nearest" or "axes" in attributes or scales not in constants:
        return False
    values = numpy_helper.to_array(constants[scales])
    return len(values) == 4 and bool((values[:2] == 1).all())


def _constants(graph: Any) -> dict[str, Any]:
    """The tensors that nothing computes, by name."""
    found = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type != "Constant":
            continue
        value = onnx.helper.get_attribute_value(node.attribute[0])
        if not isinstance(value, onnx.TensorProto):
            value = numpy_helper.from_array(np.asarray(value))
        found[node.output[0]] = value
    return found


def _computed_before(graph: Any, constants: dict[str, Any]) -> set[str]:
    """The names of all values that follow from constants alone."""
    found = set(constants)
    for node in graph.node:
        if node.input and all(name in found for name in node.input if name):
            found.update(node.output)
    return found


def _in_order(nodes: list[Any]) -> list[Any]:
    """Return ``nodes`` such that each follows what it reads; otherwise as they are."""
    made_by = {name: place for place, node in enumerate(nodes) for name in node.output}
    done: dict[int, None] = {}
    for start in range(len(nodes)):
        waiting = [start]
        while waiting:
            place = waiting[-1]
            sources = [made_by[name] for name in nodes[place].input if name in made_by]
            missing = [source for source in sources if source not in done]
            if missing:
                waiting.extend(missing)
            else:
                done[waiting.pop()] = None
    return [nodes[place] for place in done]


def _is_pointwise(node: Any, constants: dict[str, Any], computed: set[str]) -> bool:
    if node.op_type != "Conv" or node.input[1] not in constants:
        return False
    if any(name not in computed for name in node.input[2:] if name):
        return False
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    return (
        tuple(constants[node.input[1]].dims[2:]) == (1, 1)
        and all(stride == 1 for stride in attributes.get("strides", ()))
        and not any(attributes.get("pads", ()))
        and attributes.get("auto_pad", b"NOTSET") in (b"NOTSET", b"VALID")
    )


def _only_reader(graph: Any, nodes: list[Any], node: Any) -> Any | None:
    """The node that alone reads the output of ``node``, as its first input; else ``None``."""
    (output,) = node.output
    readers = [other for other in nodes if output in other.input]
    is_result = any(result.name == output for result in graph.output)
    if is_result or len(readers) != 1 or Counter(readers[0].input)[output] > 1:
        return None
    return readers[0] if readers[0].input[0] == output else None


def _swap(graph: Any, nodes: list[Any], first: Any, second: Any) -> None:
    """Execute ``second``, which alone reads ``first``, before it.

    Each keeps the name of its output: runtimes name what they execute after it.
    """
    between, end = first.output[0], second.output[0]
    for node in nodes:
        node.input[:] = [between if name == end else name for name in node.input]
    for result in graph.output:
        if result.name == end:
            result.name = between
    second.input[0], first.input[0] = first.input[0], end
    here, there = (
        next(p for p, node in enumerate(nodes) if node is one) for one in (first, second)
    )
    nodes[here], nodes[there] = second, first
