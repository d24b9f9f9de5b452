"""One exported ONNX graph that serves every width of a network."""

import re
from collections import defaultdict
from itertools import groupby
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper
from torch import nn

from netadapt.deployment.exporter import exported_program
from netadapt.errors import UserError
from netadapt.latency.reordering import moved_before
from netadapt.profiling.onnx_splits import split_plainly
from netadapt.profiling.traced import TracedNetwork
from netadapt.pruning import Operation
from netadapt.pruning.examples import arrays
from netadapt.pruning.operations import VIEWS, kind_of
from netadapt.pruning.surgery import plain_copy

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
# nodes that the runtime folds into constants, or that stand for views in torch: what they take
# belongs to the operation before them
FREE = {
    "Constant", "Shape", "Expand", "CastLike", "Cast", "Identity", "Reshape", "Squeeze",
    "Unsqueeze", "Flatten", "Slice", "Split", "Transpose",
}  # fmt: skip

EXPORTED = "pkg.torch.onnx.fx_node"  # where the exporter notes which operation a node is part of


class OnnxTemplate:
    """The ONNX graph of a network, to be filled with the weights of any pruned version.

    Exporting takes seconds and filling milliseconds (int8: tenths of a second). Every node is named
    after the traced operation it carries out, so that a runtime's own profile can be read back.

    Int8 graphs have the ranges of the full network on its example input. They fit no pruned
    network, but time does not depend on them (benchmarks/precision.py).

    Args:
        network: the full network.
        precision: ``int8`` for a quantised graph; any other for a float32 one, which the runtime
            may round.
        upsampling_last: whether 1x1 convolutions move before nearest upsamplings, as the fusion
            rules of a target say; in int8 they always do.

    Raises:
        UserError: the graph cannot be matched with the traced operations.
    """

    def __init__(
        self, network: TracedNetwork, precision: str = "fp32", *, upsampling_last: bool = False
    ) -> None:
        self.example = arrays(network.example_input)
        self.operation_count = len(network.operations)
        program = exported_program(network.model, network.example_input, optimize=False)
        self._proto: onnx.ModelProto = program.model_proto
        self.input_names: tuple[str, ...] = tuple(one.name for one in self._proto.graph.input)
        split_plainly(self._proto.graph)
        del self._proto.graph.value_info[:]  # shapes of the full widths
        _cast_plainly(self._proto.graph)
        _name_after_operations(self._proto.graph, network.operations)
        if upsampling_last:
            from netadapt.deployment.rewrites import commute_upsampling  # needs onnxruntime

            moved, wanted = commute_upsampling(self._proto), moved_before(network.operations)
            del self._proto.graph.value_info[:]
            if moved != len(wanted):
                raise UserError(
                    f"cannot time this network as it is exported: {moved} of its 1x1 layers move "
                    f"before an upsampling, not {len(wanted)}; use --runtime torch"
                )
        self._parameters = {
            tensor.name: place for place, tensor in enumerate(self._proto.graph.initializer)
        }
        self._convolutions = {
            node.input[1]: node
            for node in self._proto.graph.node
            if node.op_type in ("Conv", "ConvTranspose")
        }
        self._ranges: Any = None
        if precision == "int8":
            from netadapt.deployment.quantise import observed_ranges  # needs onnxruntime

            self._ranges = observed_ranges(self._commuted(network.model), [self.example])

    def filled(self, model: nn.Module) -> onnx.ModelProto:
        """Return the graph with the weights of ``model``, a pruned version of the network.

        Raises:
            UserError: a constant of the graph depends on the widths.
        """
        if self._ranges is None:
            return self._float_graph(model)
        from netadapt.deployment.quantise import quantised

        return quantised(self._commuted(model), self._ranges)

    def _commuted(self, model: nn.Module) -> onnx.ModelProto:
        from netadapt.deployment.rewrites import commute_upsampling, simplified

        graph = simplified(self._float_graph(model))
        commute_upsampling(graph)
        return graph

    def _float_graph(self, model: nn.Module) -> onnx.ModelProto:
        plain = plain_copy(model)
        for name, tensor in plain.state_dict().items():
            if name not in self._parameters:
                continue
            array = tensor.detach().cpu().numpy()
            stored = self._proto.graph.initializer[self._parameters[name]]
            stored.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(array), name))
        for name, node in self._convolutions.items():
            module: Any = plain.get_submodule(name.rpartition(".")[0])
            for attribute in node.attribute:
                if attribute.name == "group":
                    attribute.i = module.groups
        return self._proto


def _cast_plainly(graph: Any) -> None:
    """Turn every ``CastLike`` into a ``Cast``.

    ONNX Runtime does not fold the first into a constant; the convolutions' biases then stay
    computed values, and it fuses nothing into the convolutions.
    """
    element = graph.input[0].type.tensor_type.elem_type
    for node in graph.node:
        if node.op_type == "CastLike":
            node.op_type = "Cast"
            del node.input[1:]
            node.attribute.append(onnx.helper.make_attribute("to", element))


def _name_after_operations(graph: Any, operations: tuple[Operation, ...]) -> None:
    waiting: dict[str, list[int]] = defaultdict(list)
    for place, operation in enumerate(operations):
        waiting[operation.kind].append(place)
    renamed: dict[str, str] = {}
    for (_, source), group in groupby(graph.node, key=_source):
        nodes = list(group)
        kinds = [kind_of(source), *(KIND_OF[n.op_type] for n in nodes if n.op_type in KIND_OF)]
        found = next((waiting[kind].pop(0) for kind in kinds if waiting[kind]), None)
        working = [node for node in nodes if node.op_type not in FREE]
        if found is None and working and source not in VIEWS:
            raise UserError(
                f"cannot time {working[0].op_type} ({working[0].name}) in onnxruntime: no traced "
                "operation stands for it; use --runtime torch"
            )
        bearers = {id(node) for node in working or nodes}
        for step, node in enumerate(nodes):
            node.input[:] = [renamed.get(name, name) for name in node.input]
            if found is not None and id(node) in bearers:
                node.name = renamed[node.output[0]] = f"netadapt_op{found}_{step}"
                node.output[0] = node.name
    left = [f"{kind} ({len(places)})" for kind, places in waiting.items() if places]
    if left:
        raise UserError(
            f"cannot time this network in onnxruntime: {', '.join(left)} not found in its ONNX "
            "graph; use --runtime torch"
        )
    for output in graph.output:
        output.name = renamed.get(output.name, output.name)


def _source(node: Any) -> tuple[str, str]:
    """The exported operation that ``node`` is part of: its own name, and torch's."""
    for entry in node.metadata_props:
        if entry.key == EXPORTED:
            torch_name = re.search(r"target=torch\.ops\.\w+\.(\w+)", entry.value)
            return entry.value.partition(" ")[0], torch_name[1] if torch_name else ""
    return node.name, ""
