"""Writing the file that is deployed, and checking that it answers as the network does."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast, get_args

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from netadapt.deployment.deployed import PRECISION_KEY, session_options
from netadapt.deployment.exporter import exported_program
from netadapt.deployment.quantise import feed, observed_ranges, quantised
from netadapt.deployment.rewrites import commute_upsampling, in_float16, simplified
from netadapt.errors import UserError
from netadapt.files import write_atomic
from netadapt.pruning.examples import (
    Arrays,
    Example,
    arrays,
    batch_of,
    mapped,
    output_tensors,
    run,
    tensors_in,
)
from netadapt.pruning.surgery import plain_copy

FilePrecision = Literal["fp32", "fp16", "int8"]
EXECUTORCH = ".pte"
EXACT = 1e-4  # of the largest value: how far rounding may take an exact rewrite

Array = NDArray[Any]


@dataclass(frozen=True)
class Exported:
    """What was written.

    Attributes:
        path: the file.
        precision: of its weights and activations.
        size_bytes: of the file.
        fp32_bytes: of the same network in fp32.
        moved_layers: 1x1 convolutions that compute before a nearest upsampling instead of after.
        rewrite_error: largest difference between the network and its rewritten fp32 graph, as a
            share of the largest output.
        precision_error: mean difference between the rewritten fp32 graph and the file, as a share
            of the mean output; 0.0 in fp32.
    """

    path: Path
    precision: str
    size_bytes: int
    fp32_bytes: int
    moved_layers: int
    rewrite_error: float
    precision_error: float


def export(
    model: nn.Module,
    example_input: Example,
    path: Path | str,
    *,
    precision: FilePrecision = "fp32",
    calibration: Example | None = None,
    rewrite: bool = True,
) -> Exported:
    """Write ``model`` as one ONNX or ExecuTorch file, whole or not at all.

    Batch norms are folded into the convolutions before them.

    Args:
        model: the network, exported in eval mode.
        example_input: ``(N, C, H, W)``, or several inputs as ``trace`` takes them; the file takes
            inputs of these shapes alone.
        path: where to, ``.onnx``, or ``.pte`` for ExecuTorch.
        precision: ``fp32``; ``fp16`` (half the size, for GPUs); or ``int8`` (a quarter of the
            size, static quantisation).
        calibration: ``(frames, C, H, W)`` typical inputs (several, as ``example_input``), which
            set the int8 ranges; 32 to 128 are enough.
        rewrite: whether 1x1 convolutions move before nearest upsamplings, which is exact.

    Raises:
        UserError: the network cannot be exported, int8 without calibration inputs, a rewritten
            graph that answers otherwise than the network, or a file that cannot be written.
    """
    path = Path(path)
    check_request(path, precision, calibrated=calibration is not None)
    if calibration is not None:
        _check_alike(calibration, example_input)
    if path.suffix == EXECUTORCH:
        return _export_lowered(model, example_input, path, precision, calibration)
    graph = simplified(exported_program(model, example_input, optimize=True).model_proto)
    moved = commute_upsampling(graph) if rewrite else 0
    rewrite_error = _largest_difference(
        _answers(graph, [arrays(example_input)])[0],
        _torch_answers(model, example_input),
    )
    if rewrite_error > EXACT:
        raise UserError(
            f"the ONNX graph of {type(model).__name__} does not answer as the network: they differ "
            f"by {rewrite_error:.2g} of the largest output"
            + ("; export it with --no-rewrite" if moved else "")
        )
    typical = example_input if calibration is None else calibration
    frames = _batches(typical, batch_of(example_input))
    final = _converted(graph, precision, frames)
    _note(final, precision)
    content = final.SerializeToString()
    write_atomic(path, content)
    error = 0.0
    if precision != "fp32":
        error = _mean_difference(_answers(final, frames), _answers(graph, frames))
    return Exported(path, precision, len(content), graph.ByteSize(), moved, rewrite_error, error)


def _export_lowered(
    model: nn.Module,
    example_input: Example,
    path: Path,
    precision: FilePrecision,
    calibration: Example | None,
) -> Exported:
    """As ``export``, for ExecuTorch; its lowering folds batch norms and moves nothing."""
    from netadapt.deployment.executorch import LoweredNetwork, lowered

    if not isinstance(example_input, Tensor):
        raise UserError(f"{path}: ExecuTorch files take one input; export to .onnx")
    training = model.training
    plain = plain_copy(model.eval()).requires_grad_(False)
    model.train(training)
    batches = _batches(example_input if calibration is None else calibration, len(example_input))
    frames = [torch.from_numpy(batch) for (batch,) in batches]
    full = bytes(lowered(plain, example_input, None).to_executorch().buffer)
    content = full
    if precision == "int8":
        content = bytes(lowered(plain, example_input, frames).to_executorch().buffer)
    write_atomic(path, content)
    network = LoweredNetwork(path, len(example_input))
    with torch.no_grad():
        got = [[network(frame).numpy()] for frame in frames]
    wanted = [_torch_answers(plain, frame)[:1] for frame in frames]
    rewrite_error = precision_error = 0.0
    if precision == "fp32":
        rewrite_error = max(map(_largest_difference, got, wanted))
    else:
        precision_error = _mean_difference(got, wanted)
    return Exported(path, precision, len(content), len(full), 0, rewrite_error, precision_error)


def check_request(path: Path, precision: str, *, calibrated: bool) -> FilePrecision:
    """Return ``precision`` if such a file can be written to ``path``.

    Args:
        path: the file.
        precision: of the file.
        calibrated: whether there are typical inputs to set the int8 ranges.

    Raises:
        UserError: it cannot.
    """
    if path.suffix not in (".onnx", EXECUTORCH):
        raise UserError(
            f"--out {path}: the name must end in .onnx, or in {EXECUTORCH} for ExecuTorch"
        )
    if path.suffix == EXECUTORCH and precision == "fp16":
        raise UserError(f"--precision fp16 is not for {path}; known: fp32, int8")
    if precision == "bf16":
        raise UserError(
            "--precision bf16 needs no file of its own: export fp32 and run that file with "
            "--runtime openvino --precision bf16"
        )
    if precision not in get_args(FilePrecision):
        known = ", ".join(get_args(FilePrecision))
        raise UserError(f"unknown --precision {precision!r} of a file; known: {known}")
    if precision == "int8" and not calibrated:
        raise UserError(
            "--precision int8 needs typical images to set its ranges; give --calibration-data"
        )
    return cast(FilePrecision, precision)


def _converted(graph: onnx.ModelProto, precision: str, frames: Sequence[Arrays]) -> onnx.ModelProto:
    if precision == "int8":
        return quantised(graph, observed_ranges(graph, frames))
    if precision == "fp16":
        return in_float16(graph)
    copied = onnx.ModelProto()
    copied.CopyFrom(graph)
    return copied


def _check_alike(calibration: Example, example_input: Example) -> None:
    """Raise a ``UserError`` unless one input of both has the same shapes."""
    got, wanted = ([t.shape[1:] for t in tensors_in(one)] for one in (calibration, example_input))
    if got != wanted:
        shown = (" and ".join(str(tuple(shape)) for shape in one) for one in (got, wanted))
        raise UserError("the calibration inputs have shape {}, the network takes {}".format(*shown))


def _batches(frames: Example, size: int) -> list[Arrays]:
    """Cut ``(N, C, H, W)`` frames into inputs of ``size``; the rest is left out."""
    count = batch_of(frames)
    if count < size:
        raise UserError(f"{count} calibration inputs are too few: one batch takes {size}")

    def part(start: int) -> Arrays:
        cut = mapped(lambda t: t[start : start + size] if len(t) == count else t, frames)
        return arrays(cut)

    return [part(start) for start in range(0, count // size * size, size)]


def _answers(graph: onnx.ModelProto, frames: Sequence[Arrays]) -> list[list[Array]]:
    """All outputs of ``graph`` for each input."""
    session = onnxruntime.InferenceSession(
        graph.SerializeToString(), session_options(), providers=["CPUExecutionProvider"]
    )
    return [list(session.run(None, feed(graph, frame))) for frame in frames]


def _torch_answers(model: nn.Module, example_input: Example) -> list[Array]:
    training = model.training
    try:
        with torch.no_grad():
            answers = output_tensors(run(model.eval(), example_input))
    finally:
        model.train(training)
    return [answer.float().cpu().numpy() for answer in answers]


def _largest_difference(got: Sequence[Array], wanted: Sequence[Array]) -> float:
    """Largest difference as a share of the largest wanted value; NaN equals NaN."""
    worst = 0.0
    for one, other in zip(got, wanted, strict=False):  # what is constant is no output of a graph
        difference = np.nan_to_num(np.abs(one - other), nan=0.0)
        worst = max(worst, float(difference.max(initial=0)) / (_largest(other) or 1.0))
    return worst


def _largest(values: Array) -> float:
    return float(np.nan_to_num(np.abs(values), nan=0.0).max(initial=0))


def _mean_difference(got: Sequence[Sequence[Array]], wanted: Sequence[Sequence[Array]]) -> float:
    """Mean difference of the first outputs as a share of the mean wanted value."""
    differences = [np.abs(one[0] - other[0]).mean() for one, other in zip(got, wanted, strict=True)]
    sizes = [np.abs(other[0]).mean() for other in wanted]
    return float(np.mean(differences) / (np.mean(sizes) or 1.0))


def _note(graph: onnx.ModelProto, precision: str) -> None:
    del graph.metadata_props[:]
    onnx.helper.set_model_props(graph, {PRECISION_KEY: precision})
