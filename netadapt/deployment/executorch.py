"""Files for ExecuTorch: a network lowered for XNNPACK, in fp32 or quantised by PT2E."""

import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from netadapt.errors import UserError
from netadapt.files import existing_file
from netadapt.pruning.examples import Example, call_arguments

MAX_BYTES = 2**31
MAGIC = b"ET"  # of a program, followed by its version


def lowered(model: nn.Module, example_input: Example, frames: Sequence[Tensor] | None) -> Any:
    """Lower ``model``, in eval mode, for XNNPACK.

    Args:
        model: the network.
        example_input: ``(N, C, H, W)``; the program takes inputs of this shape alone.
        frames: typical inputs of that shape, which set the int8 ranges; ``None`` for fp32.

    Returns:
        An ``EdgeProgramManager``.

    Raises:
        UserError: it cannot be lowered, or a package is missing.
    """
    try:
        with silent_stderr():
            from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
            from executorch.exir import to_edge_transform_and_lower
    except ModuleNotFoundError as error:
        raise _lacking(error) from error
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            exported = torch.export.export(model, *call_arguments(example_input))
            if frames is not None:
                quantised = _quantised(exported.module(), frames)
                exported = torch.export.export(quantised, (example_input,))
            return to_edge_transform_and_lower(exported, partitioner=[XnnpackPartitioner()])
    except (RuntimeError, ValueError, AssertionError) as error:
        line = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise UserError(
            f"cannot export {type(model).__name__} to ExecuTorch: {line}; use --runtime torch"
        ) from error


def _quantised(module: Any, frames: Sequence[Tensor]) -> Any:
    """Quantise an exported module: signed activations per tensor, signed weights per channel."""
    try:
        with silent_stderr():
            from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
                XNNPACKQuantizer,
                get_symmetric_quantization_config,
            )
            from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e
    except ModuleNotFoundError as error:
        raise _lacking(error) from error
    settings = get_symmetric_quantization_config(is_per_channel=True)
    prepared = prepare_pt2e(module, XNNPACKQuantizer().set_global(settings))
    with torch.no_grad():
        for frame in frames:
            prepared(frame)
    return convert_pt2e(prepared)


class LoweredNetwork(nn.Module):
    """Runs a ``.pte`` file; it can be neither trained nor pruned.

    Raises:
        UserError: no such file, or none that ExecuTorch can run.
    """

    def __init__(self, path: Path, batch: int) -> None:
        super().__init__()
        self.path = existing_file(path, "ExecuTorch file")
        if path.stat().st_size >= MAX_BYTES:
            raise UserError(f"{path} is larger than an ExecuTorch file can be")
        # tasks ask a network's first parameter where to compute
        self.register_parameter("where", nn.Parameter(torch.empty(0), requires_grad=False))
        self._batch = batch
        self._data = path.read_bytes()  # the program refers to it
        if self._data[4:6] != MAGIC:
            raise UserError(f"{path} is no ExecuTorch program")
        try:
            with warnings.catch_warnings(), silent_stderr():
                warnings.simplefilter("ignore")
                from executorch.extension.pybindings import portable_lib

                self._program: Any = portable_lib._load_for_executorch_from_buffer(self._data)
        except ModuleNotFoundError as error:
            raise _lacking(error) from error
        except RuntimeError as error:
            raise UserError(f"{path} cannot be run by ExecuTorch: {error}") from error

    def forward(self, images: Tensor) -> Tensor:
        """Return the output for ``(N, C, H, W)`` images, batch by batch of the file's own size."""
        missing = -len(images) % self._batch
        filled = torch.cat([images, images[-1:].expand(missing, *images.shape[1:])])
        parts = torch.split(filled.detach().contiguous(), self._batch)
        answers = [self._program.forward([part.contiguous()])[0].clone() for part in parts]
        return torch.cat(answers)[: len(images)]


def _lacking(error: ModuleNotFoundError) -> UserError:
    return UserError(
        f"ExecuTorch needs the package {error.name}; run: pip install 'netadapt[executorch]'"
    )


@contextmanager
def silent_stderr() -> Iterator[None]:
    """Keep what the C++ side logs off the user's terminal."""
    kept = os.dup(2)
    sink = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(sink, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(sink)
