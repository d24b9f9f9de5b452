"""One exported ONNX graph that serves every width of a network."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import numpy_helper
from torch import nn

from netadapt.deployment.exporter import exported_program
from netadapt.errors import UserError
from netadapt.latency.reordering import moved_before
from netadapt.profiling.onnx_constants import fit_every_width, shapes_of
from netadapt.profiling.onnx_names import name_after_operations
from netadapt.profiling.onnx_splits import split_plainly
from netadapt.profiling.traced import TracedNetwork
from netadapt.pruning import Operation
from netadapt.pruning.examples import arrays, output_tensors, run
from netadapt.pruning.operations import record_operations
from netadapt.pruning.surgery import plain_copy, structural_copy

AGREES = 1e-2  # relative to the largest value: a wrong shape or slice is far off


class OnnxTemplate:
    """The ONNX graph of a network, to be filled with the weights of any pruned version.

    Exporting takes seconds and filling milliseconds (int8: tenths of a second). Every node is named
    after the traced operation it carries out, so that a runtime's own profile can be read back.

    A graph may hold numbers that depend on the widths, such as the shape of a view that splits
    channels into heads. They are found by filling in the narrowest network. Where they can be left
    to the runtime they are; else every network is exported by itself, in seconds each.

    Int8 graphs have the ranges of the full network on its example input. They fit no pruned
    network, but time does not depend on them (benchmarks/precision.py).

    Args:
        network: the full network.
        precision: ``int8`` for a quantised graph; any other for a float32 one, which the runtime
            may round.
        upsampling_last: whether 1x1 convolutions move before nearest upsamplings, as the fusion
            rules of a target say; in int8 they always do.

    Attributes:
        serves_all: whether one graph serves every width; else each network is exported.

    Raises:
        UserError: the graph cannot be matched with the traced operations.
    """

    def __init__(
        self, network: TracedNetwork, precision: str = "fp32", *, upsampling_last: bool = False
    ) -> None:
        self._input, self._upsampling_last = network.example_input, upsampling_last
        self.example = arrays(network.example_input)
        self.operation_count = len(network.operations)
        self._proto = self._exported(network.model)
        self.input_names: tuple[str, ...] = tuple(one.name for one in self._proto.graph.input)
        shapes = shapes_of(self._proto.graph)
        del self._proto.graph.value_info[:]  # shapes of the full widths
        self._parameters = {
            tensor.name: place for place, tensor in enumerate(self._proto.graph.initializer)
        }
        self.serves_all = self._serves(network, shapes)
        self._finish(self._proto, network.operations)
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

    def _exported(self, model: nn.Module) -> onnx.ModelProto:
        proto: onnx.ModelProto = exported_program(model, self._input, optimize=False).model_proto
        split_plainly(proto.graph)
        _cast_plainly(proto.graph)
        return proto

    def _finish(self, proto: onnx.ModelProto, operations: Sequence[Operation]) -> None:
        """Name the nodes of ``proto`` and order them as the target executes them, in place."""
        name_after_operations(proto.graph, operations)
        if not self._upsampling_last:
            return
        from netadapt.deployment.rewrites import commute_upsampling  # needs onnxruntime

        moved, wanted = commute_upsampling(proto), moved_before(operations)
        del proto.graph.value_info[:]
        if moved != len(wanted):
            raise UserError(
                f"cannot time this network as it is exported: {moved} of its 1x1 layers move "
                f"before an upsampling, not {len(wanted)}; use --runtime torch"
            )

    def _serves(self, network: TracedNetwork, shapes: Mapping[str, list[int]]) -> bool:
        """Whether the graph serves every width, if need be with other constants."""
        narrowest = network.narrowed(0)
        if narrowest is None or self._fits(narrowest):
            return True
        middle = network.narrowed(2 / 3)  # where few are left the exporter leaves operations out
        assert middle is not None
        fit_every_width(self._proto.graph, shapes, self._exported(middle).graph)
        return self._fits(middle) and self._fits(narrowest)

    def _fits(self, model: nn.Module) -> bool:
        """Whether the graph, filled with the weights of ``model``, answers as it does."""
        content = self._filled_template(model).SerializeToString()
        import onnxruntime  # importing results needs none

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = 1
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        try:
            session = onnxruntime.InferenceSession(
                content, options, providers=["CPUExecutionProvider"]
            )
            feed = dict(zip(self.input_names, self.example, strict=True))
            answers = session.run(None, feed)
        except Exception:  # a shape that is not there; of classes that onnxruntime does not export
            return False
        with torch.no_grad():
            wanted = output_tensors(run(structural_copy(model).eval(), self._input))
        return all(
            _agrees(answer, tensor.detach().cpu().numpy())
            for answer, tensor in zip(answers, wanted, strict=False)
        )

    def _float_graph(self, model: nn.Module) -> onnx.ModelProto:
        if self.serves_all:
            return self._filled_template(model)
        proto = self._exported(model)
        del proto.graph.value_info[:]
        operations, _ = record_operations(structural_copy(model).eval(), self._input)
        self._finish(proto, operations)
        return proto

    def _filled_template(self, model: nn.Module) -> onnx.ModelProto:
        plain = plain_copy(model)
        for name, tensor in plain.state_dict().items():
            if name not in self._parameters:
                continue
            array = tensor.detach().cpu().numpy()
            stored = self._proto.graph.initializer[self._parameters[name]]
            stored.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(array), name))
        for node in self._proto.graph.node:
            if node.op_type not in ("Conv", "ConvTranspose"):
                continue
            name = node.input[1]
            if name not in self._parameters:
                continue
            module: Any = plain.get_submodule(name.rpartition(".")[0])
            for attribute in node.attribute:
                if attribute.name == "group":
                    attribute.i = module.groups
        return self._proto


def _agrees(answer: NDArray[Any], wanted: NDArray[Any]) -> bool:
    if answer.shape != wanted.shape:
        return False
    difference = np.abs(answer.astype(np.float64) - wanted.astype(np.float64))
    allowed = AGREES * max(float(np.abs(wanted).max(initial=0.0)), 1e-4)
    return not bool((difference > allowed).any())  # what is no number on both sides is no shape


def _cast_plainly(graph: Any) -> None:
    """Turn every ``CastLike`` into a ``Cast``.

    ONNX Runtime does not fold the first into a constant; the convolutions' biases then stay
    computed values, and it fuses nothing into the convolutions.
    """
    known = _element_types(graph)
    usual = graph.input[0].type.tensor_type.elem_type
    for node in graph.node:
        if node.op_type == "CastLike":
            element = known.get(node.input[1], usual)
            node.op_type = "Cast"
            del node.input[1:]
            node.attribute.append(onnx.helper.make_attribute("to", element))


def _element_types(graph: Any) -> dict[str, int]:
    """Return the types of the numbers in tensors, as far as the graph notes them."""
    found = {
        info.name: info.type.tensor_type.elem_type
        for info in (*graph.value_info, *graph.input, *graph.output)
    }
    found |= {tensor.name: tensor.data_type for tensor in graph.initializer}
    for node in graph.node:
        value = onnx.helper.get_attribute_value(node.attribute[0]) if node.attribute else None
        if node.op_type == "Constant" and isinstance(value, onnx.TensorProto):
            found[node.output[0]] = value.data_type
    return {name: element for name, element in found.items() if element}
