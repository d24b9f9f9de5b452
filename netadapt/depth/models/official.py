"""Weights published by the authors of FastDepth (``*.pth.tar``)."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from netadapt.depth.models.fastdepth import FastDepth
from netadapt.errors import UserError
from netadapt.files import existing_file

INPUT_SIZE = (224, 224)
CONVERT = (
    "import torch; c = torch.load({old!r}, map_location='cpu'); "
    "m = c['model'] if isinstance(c, dict) else c; torch.save(m.state_dict(), {new!r})"
)


def load_official(path: Path) -> FastDepth:
    """Load an official FastDepth checkpoint, full or pruned, in eval mode.

    The file may hold a state dict, or a dict with one under ``state_dict``; a ``module.``
    prefix is dropped. The widths are read from the shapes. Nothing in the file is executed.

    Raises:
        UserError: no such file, not a checkpoint, a file that pickles the whole network (the
            message says how to convert it), or tensors that are not FastDepth's.
    """
    state = _state_dict(existing_file(path, "checkpoint"))
    try:
        encoder = [state["conv0.0.weight"].shape[0]]
        encoder += [state[f"conv{block}.3.weight"].shape[0] for block in range(1, 14)]
        decoder = [state[f"decode_conv{stage}.1.0.weight"].shape[0] for stage in range(1, 6)]
    except KeyError as error:
        raise UserError(f"{path} is not a FastDepth checkpoint: it has no {error}") from error
    except IndexError as error:
        raise UserError(f"{path} is not a FastDepth checkpoint: a weight is a scalar") from error
    model = FastDepth((encoder, decoder))
    try:
        model.load_state_dict(state, strict=True)
    except RuntimeError as error:
        reason = str(error).splitlines()[1:2] or [str(error)]
        raise UserError(f"{path} is not a FastDepth checkpoint: {reason[0].strip()}") from error
    model.spec = replace(model.spec, input_size=INPUT_SIZE)
    return model.eval()


def _state_dict(path: Path) -> dict[str, Tensor]:
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises whatever a damaged file leads it to
        if type(error).__name__ == "UnpicklingError":  # refused by the weights-only reader
            command = CONVERT.format(old=path.name, new=path.name.split(".")[0] + ".state.pth")
            raise UserError(
                f"{path} holds more than weights, which could run code when loaded; convert it in "
                f'the environment and folder of the official repository: python -c "{command}"'
            ) from error
        raise UserError(f"{path} is not a torch checkpoint, or is damaged") from error
    if isinstance(loaded, Mapping) and isinstance(loaded.get("state_dict"), Mapping):
        loaded = loaded["state_dict"]
    if not isinstance(loaded, Mapping) or not all(
        isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in loaded.items()
    ):
        raise UserError(f"{path} holds no state dict")
    return {name.removeprefix("module."): tensor for name, tensor in loaded.items()}
