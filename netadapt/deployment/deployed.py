"""An exported ONNX file as a network: it is scored, drawn and timed exactly as it is deployed."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor, nn

from netadapt.errors import UserError
from netadapt.files import existing_file

PRECISION_KEY = "netadapt.precision"
CPUINFO = Path("/proc/cpuinfo")
MAX_BYTES = 2**31  # of a protobuf message


class DeployedNetwork(nn.Module):
    """Runs an ONNX file with ONNX Runtime on the CPU; it can be neither trained nor pruned.

    Args:
        path: the file, with one input ``(N, C, H, W)`` and one output.

    Attributes:
        path: the file.
        precision: of its weights and activations: fp32, fp16 or int8.
        deployed_shape: ``(C, H, W)`` of one input.

    Raises:
        UserError: no such file, no ONNX graph, or one that ONNX Runtime cannot run.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = existing_file(path, "ONNX file")
        # tasks ask a network's first parameter where to compute
        self.register_parameter("where", nn.Parameter(torch.empty(0), requires_grad=False))
        self._session = _session(path)
        given = self._session.get_inputs()
        if len(given) != 1 or len(given[0].shape) != 4:
            raise UserError(f"{path} takes {_described(given)}; one input (N, C, H, W) is needed")
        batch, *shape = given[0].shape
        if not all(isinstance(size, int) for size in shape):
            raise UserError(f"{path} takes inputs of any size; export it with a fixed one")
        self._batch = batch if isinstance(batch, int) else None
        self._name = given[0].name
        self.deployed_shape: tuple[int, int, int] = (shape[0], shape[1], shape[2])
        notes = self._session.get_modelmeta().custom_metadata_map
        self.precision: str = notes.get(PRECISION_KEY, "fp32")

    @property
    def spec(self) -> NoReturn:
        """A file does not know how its network was built. Raises ``UserError``."""
        raise self._refusal()

    def __deepcopy__(self, memo: object) -> NoReturn:
        raise self._refusal()

    def forward(self, images: Tensor) -> Tensor:
        """Return the output for ``(N, C, H, W)`` images, batch by batch of the file's own size."""
        self._require_size(images.shape)
        array = images.detach().cpu().numpy()
        size = self._batch or len(array)
        parts = [self._answer(array[start : start + size]) for start in range(0, len(array), size)]
        return torch.from_numpy(np.concatenate(parts)).to(images.device)

    def _answer(self, batch: Any) -> Any:
        """The answers to one batch, which is filled up with its last image if it is too short."""
        missing = (self._batch or len(batch)) - len(batch)
        filled = np.concatenate([batch, np.repeat(batch[-1:], missing, axis=0)])
        return self._session.run(None, {self._name: filled})[0][: len(batch)]

    def train(self, mode: bool = True) -> "DeployedNetwork":
        """Stay in eval mode. Raises ``UserError`` if asked to train."""
        if mode:
            raise self._refusal()
        return super().train(mode)

    def require_input(self, shape: Sequence[int]) -> None:
        """Raise a ``UserError`` unless the file takes inputs of ``shape`` as they are."""
        self._require_size(shape)
        if self._batch not in (None, shape[0]):
            raise UserError(f"{self.path} takes batches of {self._batch}, not {shape[0]}")

    def _require_size(self, shape: Sequence[int]) -> None:
        if tuple(shape[1:]) != self.deployed_shape:
            wanted, got = ("x".join(map(str, one)) for one in (self.deployed_shape, shape[1:]))
            raise UserError(f"{self.path} was exported for inputs of {wanted}, not {got}")

    def _refusal(self) -> UserError:
        return UserError(
            f"{self.path} is an exported file, which can be run but neither trained nor pruned; "
            "give the checkpoint that it was exported from"
        )


def load_deployed(path: Path) -> DeployedNetwork:
    """Return the network of an exported file, in eval mode. Raises as ``DeployedNetwork``."""
    return DeployedNetwork(path).eval()


def _session(path: Path) -> Any:
    import onnxruntime  # a search on a board's table needs none

    if path.stat().st_size >= MAX_BYTES:
        raise UserError(f"{path} is larger than an ONNX file can be")
    try:
        return onnxruntime.InferenceSession(
            str(path), session_options(), providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # onnxruntime's own exceptions have no common base
        line = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise UserError(f"{path} cannot be run by onnxruntime: {line}") from error


def session_options() -> Any:
    """How files are scored in ONNX Runtime."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = torch.get_num_threads()
    if _saturates():
        options.add_session_config_entry("session.disable_quant_qdq", "1")
    return options


def _saturates() -> bool:
    """Whether this CPU's int8 products overflow, so that a file answers otherwise than elsewhere.

    x86 without VNNI adds pairs of products in 16 bits. Such a CPU is no target for int8; a file is
    scored there as other CPUs compute it, in float with every rounding.
    """
    try:
        cpuinfo = CPUINFO.read_text(errors="replace")
    except OSError:
        return False
    flags = set(cpuinfo.partition("\nflags")[2].partition("\n")[0].split())
    return "sse2" in flags and flags.isdisjoint(("avx512_vnni", "avx_vnni", "amx_int8"))


def _described(inputs: Any) -> str:
    return " and ".join(str(tuple(one.shape)) for one in inputs) or "no input"
