"""Int8 graphs: static quantisation in the form that CPUs execute fastest.

Activations are unsigned and weights signed 8-bit integers, weights have one scale per channel, and
the layers that compute the output stay float32. These are the settings of ONNX Runtime's
quantiser that keep FastDepth's accuracy; OpenVINO executes the same file.
"""

import contextlib
import io
import logging
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantType
from onnxruntime.quantization.calibrate import CalibrationMethod, create_calibrator
from onnxruntime.quantization.qdq_quantizer import QDQQuantizer
from onnxruntime.quantization.registry import QDQRegistry, QLinearOpsRegistry

from netadapt.pruning.examples import Arrays

WEIGHTED = {"Conv", "ConvTranspose", "Gemm", "MatMul"}

Ranges = Any  # onnxruntime's TensorsData: the smallest and the largest value of every tensor


def observed_ranges(graph: onnx.ModelProto, frames: Iterable[Arrays]) -> Ranges:
    """Return the range of every tensor of ``graph`` over ``frames``, the graph's inputs in order.

    The tensors' names decide what the ranges fit: a pruned version of the same graph can be
    quantised with them too.
    """
    with tempfile.TemporaryDirectory(prefix="netadapt-calibration-") as folder, _quiet():
        path = Path(folder) / "graph.onnx"
        path.write_bytes(graph.SerializeToString())
        calibrator = create_calibrator(
            path,
            _quantised_kinds(),
            augmented_model_path=str(Path(folder) / "augmented.onnx"),
            calibrate_method=CalibrationMethod.MinMax,
        )
        for frame in frames:  # one at a time: the calibrator keeps what it has collected
            calibrator.collect_data(_Reader(feed(graph, frame)))
        return calibrator.compute_data()


def feed(graph: onnx.ModelProto, inputs: Arrays) -> dict[str, NDArray[Any]]:
    """Return the inputs of ``graph``, given in order, by name."""
    return dict(zip((one.name for one in graph.graph.input), inputs, strict=True))


def quantised(graph: onnx.ModelProto, ranges: Ranges) -> onnx.ModelProto:
    """Return ``graph`` in int8, with a pair of quantise and dequantise nodes at every tensor.

    Args:
        graph: as :func:`~netadapt.deployment.rewrites.simplified` returns it.
        ranges: of its tensors.
    """
    copied = onnx.ModelProto()
    copied.CopyFrom(graph)
    with _quiet():
        quantiser = QDQQuantizer(
            copied,
            per_channel=True,
            reduce_range=False,
            weight_qType=QuantType.QInt8,
            activation_qType=QuantType.QUInt8,
            tensors_range=ranges,
            nodes_to_quantize=[],
            nodes_to_exclude=float_nodes(copied),
            op_types_to_quantize=_quantised_kinds(),
            extra_options={},
        )
        quantiser.quantize_model()
    result = quantiser.model.model
    assert isinstance(result, onnx.ModelProto)
    return result


def float_nodes(graph: onnx.ModelProto) -> list[str]:
    """Name the nodes that stay float32: the last layers with weights, and what follows them.

    An error there reaches the output directly, and their share of the work is small.
    """
    made_by = {output: node for node in graph.graph.node for output in node.output}
    found: dict[str, None] = {}
    waiting = [result.name for result in graph.graph.output]
    while waiting:
        node = made_by.get(waiting.pop())
        if node is None or node.name in found:
            continue
        found[node.name] = None
        if node.op_type not in WEIGHTED:
            waiting.extend(node.input)
    return list(found)


def _quantised_kinds() -> list[str]:
    return sorted({*QDQRegistry, *QLinearOpsRegistry})


class _Reader(CalibrationDataReader):  # type: ignore[misc]
    """Hands one frame to the calibrator."""

    def __init__(self, frame: dict[str, NDArray[Any]]) -> None:
        self._waiting: Iterator[dict[str, NDArray[Any]]] = iter([frame])

    def get_next(self) -> dict[str, NDArray[Any]] | None:
        return next(self._waiting, None)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the quantiser's own messages off the user's terminal."""
    logger = logging.getLogger()
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            yield
    finally:
        logger.setLevel(level)
