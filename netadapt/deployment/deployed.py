"""An exported ONNX file as a network: it is scored, drawn and timed exactly as it is deployed."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
from torch import Tensor, nn

from netadapt.errors import UserError
from netadapt.files import existing_file
from netadapt.pruning.examples import Example, batch_of, by_path, tensors_in

PRECISION_KEY = "netadapt.precision"
CPUINFO = Path("/proc/cpuinfo")
MAX_BYTES = 2**31  # of a protobuf message


class DeployedNetwork(nn.Module):
    """Runs an ONNX file with ONNX Runtime on the CPU; it can be neither trained nor pruned.

    Args:
        path: the file; of several outputs the first is the answer.

    Attributes:
        path: the file.
        precision: of its weights and activations: fp32, fp16 or int8.
        deployed_shape: ``(C, H, W)`` of an image, or what else the first input is.
        inputs: ``--input`` options, empty for one image.

    Raises:
        UserError: no such file, no ONNX graph, or one that ONNX Runtime cannot run.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = existing_file(path, "ONNX file")
        # tasks ask a network's first parameter where to compute
        self.register_parameter("where", nn.Parameter(torch.empty(0), requires_grad=False))
        self._session = _session(path)
        self._given = self._session.get_inputs()
        if not self._given or not all(one.shape for one in self._given):
            raise UserError(
                f"{path} takes {_described(self._given)}; every input needs at least one dimension"
            )
        batch, *shape = self._given[0].shape
        if not all(isinstance(size, int) for one in self._given for size in one.shape[1:]):
            raise UserError(f"{path} takes inputs of any size; export it with a fixed size")
        self._batch = batch if isinstance(batch, int) else None
        self.deployed_shape: tuple[int, ...] = tuple(shape)
        is_image = len(self._given) == 1 and len(shape) == 3
        self.inputs = () if is_image else tuple(map(_as_option, self._given))
        notes = self._session.get_modelmeta().custom_metadata_map
        self.precision: str = notes.get(PRECISION_KEY, "fp32")

    @property
    def spec(self) -> NoReturn:
        """A file does not know how its network was built. Raises ``UserError``."""
        raise self._refusal()

    def __deepcopy__(self, memo: object) -> NoReturn:
        raise self._refusal()

    def forward(self, *images: Tensor, **named: Any) -> Tensor:
        """Return the output for ``(N, C, H, W)`` images, batch by batch of the file's own size.

        Several inputs are given in the order of the file's, or by name.
        """
        device = next(tensors_in([images, named])).device
        feed = self._feed(images) if images else self._by_name(named)
        size = self._batch or len(feed[0])
        starts = range(0, len(feed[0]), size)
        parts = [self._answer([array[start : start + size] for array in feed]) for start in starts]
        return torch.from_numpy(np.concatenate(parts)).to(device)

    def _by_name(self, named: Mapping[str, Any]) -> list[Any]:
        """The arrays in the file's order; ``batch.left`` is the file's input ``batch_left``."""
        found = {name.replace(".", "_"): tensor for name, tensor in by_path(named)}
        missing = [one.name for one in self._given if one.name not in found]
        if missing or len(found) != len(self._given):
            got, wanted = ", ".join(found), ", ".join(one.name for one in self._given)
            raise UserError(f"{self.path} takes the inputs {wanted}, not {got}")
        return self._feed([found[one.name] for one in self._given])

    def _feed(self, tensors: Sequence[Tensor]) -> list[Any]:
        self._require_sizes([tensor.shape for tensor in tensors])
        return [tensor.detach().cpu().numpy() for tensor in tensors]

    def _answer(self, batch: list[Any]) -> Any:
        """The answers to one batch, which is filled up with its last image if it is too short."""
        count = len(batch[0])
        missing = (self._batch or count) - count
        filled = [np.concatenate([one, np.repeat(one[-1:], missing, axis=0)]) for one in batch]
        names = [one.name for one in self._given]
        return self._session.run(None, dict(zip(names, filled, strict=True)))[0][:count]

    def train(self, mode: bool = True) -> "DeployedNetwork":
        """Stay in eval mode. Raises ``UserError`` if asked to train."""
        if mode:
            raise self._refusal()
        return super().train(mode)

    def require_input(self, example: Example) -> None:
        """Raise a ``UserError`` unless the file takes ``example`` as it is."""
        self._require_sizes([tensor.shape for tensor in tensors_in(example)])
        if self._batch not in (None, batch_of(example)):
            raise UserError(f"{self.path} takes batches of {self._batch}, not {batch_of(example)}")

    def _require_sizes(self, shapes: Sequence[Sequence[int]]) -> None:
        wanted, got = (
            [tuple(shape[1:]) for shape in those]
            for those in ([one.shape for one in self._given], shapes)
        )
        if wanted != got:
            shown = (
                " and ".join("x".join(map(str, one)) for one in many) for many in (wanted, got)
            )
            raise UserError("{} was exported for inputs of {}, not {}".format(self.path, *shown))

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


def _as_option(given: Any) -> str:
    """The ``--input`` option of an input of the file; a batch of any size is one example."""
    batch, *rest = given.shape
    sizes = "x".join(map(str, [batch if isinstance(batch, int) else 1, *rest]))
    kind = given.type.removeprefix("tensor(").removesuffix(")")
    kind = {"float": "float32", "double": "float64"}.get(kind, kind)
    return f"{given.name}={sizes}" + ("" if kind == "float32" else f":{kind}")
