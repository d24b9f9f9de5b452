"""One file of weights for all widths of a network, so that only graphs travel to a board."""

import hashlib
import io
import zipfile
from collections.abc import Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import external_data_helper, numpy_helper

from netadapt.profiling.agent.job import INPUT_FILE
from netadapt.profiling.onnx_model import OnnxTemplate
from netadapt.profiling.traced import TracedNetwork
from netadapt.pruning import PrunableModel
from netadapt.pruning.examples import Arrays

WEIGHTS_FILE = "weights.bin"
ALIGNMENT = 64


class SharedWeights:
    """The weights of a full network, the beginnings of which serve as those of narrower ones.

    A pruned network's tensor is the first numbers of the full one's: not the weights that
    pruning would keep, but of their size, and latency depends on nothing else of them.
    """

    def __init__(self, full: onnx.ModelProto, parameters: Sequence[str]) -> None:
        self._places: dict[str, tuple[int, int]] = {}
        content = io.BytesIO()
        for tensor in full.graph.initializer:
            # a quantised graph names what it made of a parameter after the parameter
            named_so = any(parameter in tensor.name for parameter in parameters)
            if named_so and tensor.HasField("raw_data"):
                data = numpy_helper.to_array(tensor).tobytes()
                content.write(b"\0" * (-content.tell() % ALIGNMENT))
                self._places[tensor.name] = (content.tell(), len(data))
                content.write(data)
        self.content = content.getvalue()

    def outlined(self, filled: onnx.ModelProto) -> bytes:
        """Return the graph of a pruned network, its weights being references to this file."""
        outlined = onnx.ModelProto()
        outlined.CopyFrom(filled)
        for tensor in outlined.graph.initializer:
            if tensor.name not in self._places:
                continue
            size = len(numpy_helper.to_array(tensor).tobytes())
            offset, available = self._places[tensor.name]
            assert size <= available, f"{tensor.name} is larger than in the full network"
            external_data_helper.set_external_data(tensor, WEIGHTS_FILE, offset, size)
            tensor.ClearField("raw_data")
        _strip_notes(outlined)
        data: bytes = outlined.SerializeToString(deterministic=True)
        return data


def _strip_notes(model: onnx.ModelProto) -> None:
    """Drop what the exporter noted for its developers: where in the source a node comes from."""
    graph = model.graph
    for noted in (model, graph, *graph.node, *graph.input, *graph.output, *graph.initializer):
        noted.ClearField("doc_string")
        noted.ClearField("metadata_props")


class Graphs:
    """The graphs of a traced network at any widths, by names that follow from their content."""

    def __init__(
        self, prunable: PrunableModel, precision: str = "fp32", *, upsampling_last: bool = False
    ) -> None:
        self._prunable = prunable
        network = TracedNetwork.of(prunable)
        self._template = OnnxTemplate(network, precision, upsampling_last=upsampling_last)
        full = self._template.filled(prunable.model)
        self._weights = SharedWeights(full, list(prunable.model.state_dict()))
        self.operations = self._template.operation_count
        self.full = named(self._weights.outlined(full))[0]
        self.common_files = {
            WEIGHTS_FILE: self._weights.content,
            INPUT_FILE: input_file(self._template.example),
        }

    def base(self) -> tuple[str, bytes]:
        """The name and the content of the graph at full widths."""
        return self.at(np.array(list(self._prunable.widths.values())))

    def at(self, row: NDArray[np.int64]) -> tuple[str, bytes]:
        """The name and the content of the graph at ``(G,)`` widths."""
        widths = dict(zip(self._prunable.groups, row.tolist(), strict=True))
        return named(self._weights.outlined(self._template.filled(self._prunable.pruned(widths))))


def named(graph: bytes) -> tuple[str, bytes]:
    """Name a graph after its content."""
    return f"{hashlib.sha256(graph).hexdigest()[:32]}.onnx", graph


def input_file(example: Arrays) -> bytes:
    """The example input as a board reads it; several inputs are an archive, in order of name."""
    content = io.BytesIO()
    if len(example) == 1:
        np.save(content, example[0], allow_pickle=False)
    else:
        with zipfile.ZipFile(content, "w") as archive:
            for place, array in enumerate(example):
                with archive.open(f"{place:03}.npy", "w") as file:
                    np.save(file, array, allow_pickle=False)
    return content.getvalue()
