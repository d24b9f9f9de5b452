"""ONNX graphs whose tensors are split without sequences."""

from collections import defaultdict
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from netadapt.profiling.onnx_constants import shapes_of, whole_number_constants


def split_plainly(graph: Any) -> None:
    """Turn every ``SplitToSequence`` whose parts are taken by their places into one ``Split``.

    PyTorch exports ``chunk`` and ``split`` as a sequence and a ``SequenceAt`` for every part, with
    the size of the parts at full width. A ``Split`` into equal parts fits every width.
    """
    constants = whole_number_constants(graph)
    shapes = shapes_of(graph)
    readers: dict[str, list[Any]] = defaultdict(list)
    for node in graph.node:
        for name in node.input:
            readers[name].append(node)
    for node in [one for one in graph.node if one.op_type == "SplitToSequence"]:
        settings = {attribute.name: attribute.i for attribute in node.attribute}
        taken = {
            int(constants[one.input[1]]): one
            for one in readers[node.output[0]]
            if _takes(one, constants)
        }
        known = len(node.input) > 1 and node.input[1] in constants and node.input[0] in shapes
        everything = len(taken) == len(readers[node.output[0]])
        if not (known and everything and settings.get("keepdims", 1)):
            continue
        axis = settings.get("axis", 0)
        sizes, whole = constants[node.input[1]], shapes[node.input[0]][axis]
        parts = sizes.size if sizes.ndim else -(-whole // int(sizes))
        equal = not sizes.ndim or len(set(sizes.tolist())) == 1
        names = [f"{node.output[0]}_part{place}" for place in range(parts)]
        for place, taker in taken.items():
            names[place] = taker.output[0]
            graph.node.remove(taker)
        node.op_type = "Split"
        del node.attribute[:], node.output[:]
        node.output.extend(names)
        node.attribute.append(onnx.helper.make_attribute("axis", axis))
        if equal:
            del node.input[1:]
            node.attribute.append(onnx.helper.make_attribute("num_outputs", parts))


def _takes(node: Any, constants: dict[str, NDArray[np.int64]]) -> bool:
    return node.op_type == "SequenceAt" and node.input[1] in constants
