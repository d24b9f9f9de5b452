"""Networks from ONNX files, which can be traced, pruned and trained as any other.

The file is data: nothing in it is run but the operators that the converter knows, and weights
beside it are read from its own folder alone.
"""

import hashlib
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate

from netadapt.errors import UserError
from netadapt.extras import remedy
from netadapt.files import existing_file
from netadapt.models.inputs import named_example
from netadapt.models.spec import ModelSpec
from netadapt.pruning.examples import arrays, output_tensors, run

MAX_BYTES = 2**31  # of the file, and of its weights beside it
TOLERANCE = 1e-3  # of the largest value: what onnxruntime and the converted network may differ by
QUANTISED = {"QuantizeLinear", "DequantizeLinear", "QLinearConv", "ConvInteger"}
TYPES = {1: "float32", 6: "int32", 7: "int64", 9: "bool", 10: "float16", 11: "float64"}


def from_onnx(path: str, sha256: str | None = None) -> nn.Module:
    """Return the network of an ONNX file, converted by onnx2pytorch.

    Its layers are named as the file's nodes are; it remembers the size of its input.

    Args:
        path: the file, in floating point and with inputs of fixed sizes but for the batch.
        sha256: of its bytes, if it must be the file that a checkpoint was made from; without it
            the network must answer as onnxruntime does, within 1e-3 of the largest output.

    Raises:
        UserError: no such file, no sound one, another one than the checkpoint's, an operator that
            is not supported, the converter is not installed, or the answers differ.
    """
    file = existing_file(Path(path).expanduser(), "ONNX file")
    proto = _read(file)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    if sha256 not in (None, digest):
        raise UserError(f"{path} is not the file that the checkpoint was made from; restore it")
    model = _converted(proto, path).eval()
    inputs = tuple(_options(proto, path))
    image = len(inputs) == 1 and inputs[0].count("x") == 3 and ":" not in inputs[0]
    size = tuple(map(int, inputs[0].rpartition("=")[2].split("x")[2:])) if image else None
    options = {"path": str(path), "sha256": digest}
    model.spec = ModelSpec("onnx", options, None, size, () if image else inputs)  # type: ignore[arg-type, assignment]
    if sha256 is None:
        _check_parity(model, inputs, proto, path)
    return model


def _read(path: Path) -> Any:
    import onnx
    import onnx.inliner
    from onnx import external_data_helper

    if path.stat().st_size >= MAX_BYTES:
        raise UserError(f"{path} is larger than an ONNX file can be")
    try:
        proto = onnx.load(str(path), load_external_data=False)
        proto = onnx.inliner.inline_local_functions(proto)
        _require_float(path, proto)
        _check_external(path, external_data_helper._get_all_tensors(proto))
        external_data_helper.load_external_data_for_model(proto, str(path.parent))
        onnx.checker.check_model(proto)
    except UserError:
        raise
    except Exception as error:  # protobuf's and onnx's own have no common base
        raise UserError(f"{path} is no sound ONNX file: {_first_line(error)}") from error
    return proto


def _require_float(path: Path, proto: Any) -> None:
    if {node.op_type for node in proto.graph.node} & QUANTISED:
        raise UserError(
            f"{path} is quantised: it can be run (evaluate, benchmark, predict), not pruned; give "
            "the floating-point file"
        )


def _check_external(path: Path, tensors: Iterable[Any]) -> None:
    """Refuse weights outside the file's folder, and too many of them."""
    folder = path.parent.resolve()
    files: set[Path] = set()
    for tensor in tensors:
        for entry in tensor.external_data if tensor.data_location == 1 else ():
            if entry.key == "location":
                found = (folder / entry.value).resolve()
                if not found.is_relative_to(folder):
                    raise UserError(f"{path} names weights outside its folder: {entry.value[:200]}")
                files.add(found)
    if sum(found.stat().st_size for found in files if found.is_file()) >= MAX_BYTES:
        raise UserError(f"the weights beside {path} are larger than {MAX_BYTES} bytes")


def _converted(proto: Any, path: str) -> nn.Module:
    try:
        from onnx2pytorch import ConvertModel
    except ModuleNotFoundError as error:
        if line := remedy(error):
            raise UserError(f"{path}: {line}") from error
        raise
    _require_known(proto, path)
    copied = type(proto)()
    copied.CopyFrom(proto)  # what it is compared with stays as it is
    _flatten_plainly(copied)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model: nn.Module = ConvertModel(copied)
            _fix_sizes(model)
            return model
    except Exception as error:  # whatever it does not know
        raise UserError(f"{path} cannot be converted: {_first_line(error)}") from error


def _require_known(proto: Any, path: str) -> None:
    """Refuse operators that are none of ONNX: the converter guesses by the name alone."""
    from onnx import defs

    for node in proto.graph.node:
        if node.domain not in ("", "ai.onnx") or not defs.has(node.op_type):
            name = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
            raise UserError(f"{path} cannot be converted: it has the operator {name[:200]}")
        if any(attribute.HasField("g") or attribute.graphs for attribute in node.attribute):
            raise UserError(
                f"{path} cannot be converted: its operator {node.op_type} runs a graph of its own"
            )


def _fix_sizes(model: Any) -> None:
    """Make numbers of what operators read from constants: axes, shapes and factors.

    The converter reads them from tensors at every run, which cannot be exported again, and takes
    the channels of a resized image for fixed.
    """
    from onnx import numpy_helper

    graph = model.onnx_model.graph
    stored = {tensor.name: tensor for tensor in graph.initializer}

    def constant(node: Any, place: int) -> list[Any] | None:
        name = node.input[place] if len(node.input) > place else ""
        return numpy_helper.to_array(stored[name]).tolist() if name in stored else None

    for node in graph.node:
        name = model.mapping[node.output[0]]
        numbers = constant(node, 1)
        if node.op_type == "ReduceMean" and numbers is not None:
            setattr(model, name, _Mean(numbers, getattr(model, name).keepdim))
            del node.input[1:]
        elif node.op_type == "Reshape" and numbers is not None:
            getattr(model, name).shape = numbers
            del node.input[1:]
        elif node.op_type == "Resize" and (constant(node, 2) or constant(node, 3)):
            setattr(model, name, _Resize(node, constant(node, 2), constant(node, 3)))
            del node.input[1:]


class _Mean(nn.Module):
    """``ReduceMean`` over fixed dimensions."""

    def __init__(self, dims: list[int], keep: bool) -> None:
        super().__init__()
        self.dims, self.keep = tuple(dims), keep

    def forward(self, values: Tensor) -> Tensor:
        """Return the mean over the dimensions."""
        return values.mean(self.dims, keepdim=self.keep)


class _Resize(nn.Module):
    """``Resize`` by fixed factors, or to a fixed height and width."""

    def __init__(self, node: Any, scales: list[float] | None, sizes: list[int] | None) -> None:
        super().__init__()
        told = {attribute.name: attribute.s.decode() for attribute in node.attribute}
        kind = told.get("mode", "nearest")
        rank = len(scales or sizes or ()) - 2
        linear = {1: "linear", 2: "bilinear", 3: "trilinear"}[rank]
        self.mode = {"linear": linear, "cubic": "bicubic"}.get(kind, kind)
        corners = told.get("coordinate_transformation_mode") == "align_corners"
        self.corners = None if kind == "nearest" else corners
        self.size = None if scales else (sizes or [])[2:]
        self.factors = (scales or [])[2:] or None

    def forward(self, image: Tensor) -> Tensor:
        """Return ``(N, C, H, W)`` of the other size."""
        return interpolate(image, self.size, self.factors, self.mode, self.corners)


def _flatten_plainly(proto: Any) -> None:
    """Let every ``Reshape`` to two sizes take what is left as the second: it may be pruned."""
    from onnx import numpy_helper

    stored = {tensor.name: tensor for tensor in proto.graph.initializer}
    for node in proto.graph.node:
        shape = stored.get(node.input[1]) if node.op_type == "Reshape" else None
        if shape is None or list(shape.dims) != [2]:
            continue
        first = int(numpy_helper.to_array(shape)[0])
        if first > 0:
            name = f"{node.output[0]}_flat"
            flat = numpy_helper.from_array(np.array([first, -1], dtype=np.int64), name)
            proto.graph.initializer.append(flat)
            node.input[1] = name


def _options(proto: Any, path: str) -> Iterator[str]:
    """Yield the inputs as ``--input`` options."""
    stored = {tensor.name for tensor in proto.graph.initializer}
    for given in proto.graph.input:
        if given.name in stored:
            continue
        kind = given.type.tensor_type
        sizes = [size.dim_value for size in kind.shape.dim]
        if not sizes or not all(sizes[1:]) or kind.elem_type not in TYPES:
            raise UserError(
                f"{path}: its input {given.name} has no fixed size or an unknown type; "
                "export it with a fixed size"
            )
        shape = "x".join(map(str, [sizes[0] or 1, *sizes[1:]]))
        suffix = "" if TYPES[kind.elem_type] == "float32" else f":{TYPES[kind.elem_type]}"
        yield f"{given.name}={shape}{suffix}"


def _check_parity(model: nn.Module, inputs: tuple[str, ...], proto: Any, path: str) -> None:
    import onnxruntime

    example = named_example(inputs, model)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(
            proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        names = [one.name for one in session.get_inputs()]
        wanted = session.run(None, dict(zip(names, arrays(example), strict=True)))
        with torch.no_grad():
            got = [tensor.numpy() for tensor in output_tensors(run(model, example))]
    except Exception as error:  # onnxruntime's own, and whatever a converted operator raises
        raise UserError(f"{path} does not run once converted: {_first_line(error)}") from error
    worst = max(
        (
            float(np.abs(one - other).max(initial=0) / (np.abs(one).max(initial=0) or 1.0))
            if one.shape == other.shape
            else float("inf")
            for one, other in zip(wanted, got, strict=True)
        ),
        default=0.0,
    )
    if not worst <= TOLERANCE:
        raise UserError(
            f"{path}, converted, does not answer as onnxruntime does: off by {worst:.2g} of "
            f"the largest output, and {TOLERANCE:g} is allowed"
        )


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:300]
