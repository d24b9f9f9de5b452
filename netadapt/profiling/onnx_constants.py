"""Constants of an exported graph that depend on the widths: shapes that views are given."""

from collections.abc import Iterator, Mapping
from difflib import SequenceMatcher
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

Constants = dict[str, NDArray[np.int64]]
TO_THE_END = np.iinfo(np.int64).max


def whole_number_constants(graph: Any) -> Constants:
    """Return the whole numbers that depend on no input, by name."""
    tensors = {tensor.name: tensor for tensor in graph.initializer}
    found = {
        name: numpy_helper.to_array(tensor)
        for name, tensor in tensors.items()
        if tensor.data_type == onnx.TensorProto.INT64
    }
    for node in graph.node:
        if node.op_type == "Constant":
            value = onnx.helper.get_attribute_value(node.attribute[0])
            if isinstance(value, onnx.TensorProto):
                value = numpy_helper.to_array(value)
            array = np.asarray(value)
            if array.dtype == np.int64:
                found[node.output[0]] = array
        elif node.op_type in ("Cast", "CastLike", "Identity") and node.input[0] in found:
            found[node.output[0]] = found[node.input[0]]
        elif node.op_type == "Concat" and all(name in found for name in node.input):
            found[node.output[0]] = np.concatenate([np.atleast_1d(found[n]) for n in node.input])
    return found


def shapes_of(graph: Any) -> dict[str, list[int]]:
    """Return the shapes that are noted in the graph, by the names of tensors."""
    return {
        info.name: [dim.dim_value for dim in info.type.tensor_type.shape.dim]
        for info in (*graph.value_info, *graph.input, *graph.output)
    }


def fit_every_width(graph: Any, shapes: Mapping[str, list[int]], narrow: Any) -> None:
    """Rewrite, in place, the constants in which ``graph`` differs from a narrower network's.

    The one side of a reshape that depends on the widths is left to the runtime (-1); a slice up
    to the end goes to whatever end there is; a side that an expansion keeps is 1. Others stay.

    Args:
        graph: of the full network.
        shapes: of its tensors, by name.
        narrow: the graph of the same network with all groups narrower.
    """
    full_values, narrow_values = whole_number_constants(graph), whole_number_constants(narrow)
    narrow_shapes = shapes_of(narrow)
    for node, other in _pairs(graph, narrow, set(full_values), set(narrow_values)):
        for place, (name, name_there) in enumerate(zip(node.input, other.input, strict=False)):
            if name not in full_values or name_there not in narrow_values:
                continue
            here, there = full_values[name], narrow_values[name_there]
            sides = shapes.get(node.input[0]), narrow_shapes.get(other.input[0])
            found = _fitting(node.op_type, place, here, there, sides, shapes.get(node.output[0]))
            if found is not None:
                fitting = f"{name}_fitting_{node.output[0]}"
                graph.initializer.append(numpy_helper.from_array(found, fitting))
                node.input[place] = fitting


def _pairs(
    graph: Any, narrow: Any, constants: set[str], narrow_constants: set[str]
) -> Iterator[tuple[Any, Any]]:
    """Yield the nodes of two graphs that do the same.

    Copies may be missing on one side: tensors of a single head lie in memory as they are wanted.
    """
    both = [
        [n for n in one.node if n.op_type != "Identity" and not known.issuperset(n.output)]
        for one, known in ((graph, constants), (narrow, narrow_constants))
    ]
    here, there = ([str(node.op_type) for node in nodes] for nodes in both)
    matcher = SequenceMatcher(None, here, there, autojunk=False)
    for start, other, count in matcher.get_matching_blocks():
        yield from zip(both[0][start : start + count], both[1][other : other + count], strict=True)


def _fitting(
    kind: str,
    place: int,
    here: NDArray[np.int64],
    there: NDArray[np.int64],
    sides: tuple[list[int] | None, list[int] | None],
    made: list[int] | None,
) -> NDArray[np.int64] | None:
    """Return a constant that serves at every width, if another is needed and there is one."""
    if here.shape != there.shape or np.array_equal(here, there):
        return None
    differs = here != there
    if kind == "Reshape" and place == 1 and differs.sum() == 1:
        known = here.copy()
        if made is not None and len(made) == len(here):
            known = np.where(here <= 0, made, here)  # sides that were left open are noted
        elif (here < 0).any():
            return None
        return np.where(differs, -1, known).astype(np.int64)
    if None in sides or sides[0] is None or sides[1] is None:
        return None
    if kind == "Expand" and place == 1 and len(sides[0]) == len(here):
        kept = (here == sides[0]) & (there == sides[1])
        return np.where(differs, 1, here).astype(np.int64) if kept[differs].all() else None
    if kind == "Slice" and place == 2 and here.ndim == 1:
        ends = np.isin(here, sides[0]) & np.isin(there, sides[1])
        return np.where(differs, TO_THE_END, here).astype(np.int64) if ends[differs].all() else None
    return None
