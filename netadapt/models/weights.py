"""Reading weights that others published, as tensors by name. Nothing in a file is executed."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from netadapt.errors import UserError
from netadapt.files import existing_file

CONVERT = (
    "import torch; c = torch.load({old!r}, map_location='cpu'); "
    "m = c['model'] if isinstance(c, dict) else c; torch.save(m.state_dict(), {new!r})"
)
CHECKPOINT_KEY = "netadapt"  # of a safetensors header, where our checkpoints describe themselves
_NUMBERS = r"[-+.eE0-9]+|[\[(][-+.eE0-9, ]+[\])]"
_INPUT = re.compile(rf"RGB \(x - ({_NUMBERS})\) / ({_NUMBERS}), x in \[0, 1\]")


@dataclass(frozen=True)
class PublishedWeights:
    """Tensors by name, and what their network expects.

    Attributes:
        source: where they come from, for messages.
        tensors: parameters and buffers under the names of the network they were trained in.
        mean: what is subtracted from RGB in [0, 1], one number per channel; None if unknown.
        std: what the difference is divided by; None if unknown.
        norm_eps: epsilon of the batch norms; None if it is the one of the network that loads them.
        is_checkpoint: whether :func:`netadapt.save_checkpoint` wrote the file.
    """

    source: str
    tensors: Mapping[str, Tensor]
    mean: tuple[float, float, float] | None = None
    std: tuple[float, float, float] | None = None
    norm_eps: float | None = None
    is_checkpoint: bool = False


def read_published(path: Path) -> PublishedWeights:
    """Read a ``.safetensors`` file, or a state dict that torch saved.

    A safetensors file may say in its metadata what its network expects: ``bn_eps`` is the epsilon
    of its batch norms; ``input`` is ``RGB (x - MEAN) / STD, x in [0, 1]``, where MEAN and STD are
    a number or ``[R, G, B]``.

    Raises:
        UserError: no such file, a damaged one, or metadata that cannot be understood.
    """
    existing_file(path, "weights")
    if path.suffix != ".safetensors":
        return PublishedWeights(str(path), read_state_dict(path))
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        raise UserError(f"{path} is not a safetensors file, or is damaged") from error
    mean, std = _normalisation(path, metadata.get("input"))
    epsilon = _epsilon(path, metadata.get("bn_eps"))
    return PublishedWeights(str(path), tensors, mean, std, epsilon, CHECKPOINT_KEY in metadata)


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Read a state dict that torch saved, alone or under ``state_dict``; drops ``module.``.

    Raises:
        UserError: not a torch file, one that pickles the whole network (the message says how to
            convert it), or one without a state dict.
    """
    try:
        loaded = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch.load raises whatever a damaged file leads it to
        # a refusal of the weights-only reader names what it would not load; damage names nothing
        if type(error).__name__ == "UnpicklingError" and "GLOBAL" in str(error).upper():
            command = CONVERT.format(old=path.name, new=path.name.split(".")[0] + ".state.pth")
            raise UserError(
                f"{path} holds more than weights, and loading it could run code in it; only if you "
                "trust whoever made it, convert it in the environment and folder of the official "
                f'repository: python -c "{command}"'
            ) from error
        raise UserError(f"{path} is not a torch checkpoint, or is damaged") from error
    if isinstance(loaded, Mapping) and isinstance(loaded.get("state_dict"), Mapping):
        loaded = loaded["state_dict"]
    if not isinstance(loaded, Mapping) or not all(
        isinstance(name, str) and isinstance(tensor, Tensor) for name, tensor in loaded.items()
    ):
        raise UserError(f"{path} holds no state dict")
    return {name.removeprefix("module."): tensor for name, tensor in loaded.items()}


_Channels = tuple[float, float, float]


def _normalisation(path: Path, text: str | None) -> tuple[_Channels | None, _Channels | None]:
    if text is None:
        return None, None
    found = _INPUT.fullmatch(text.strip())
    try:
        if found is None:
            raise ValueError(text)
        mean, std = (_three(numbers) for numbers in found.groups())
        if min(std) <= 0:
            raise ValueError(text)
    except ValueError as error:
        raise UserError(
            f"{path}: its metadata says of its input {text!r}; "
            "write it as 'RGB (x - MEAN) / STD, x in [0, 1]', where MEAN and STD are a number or "
            "[R, G, B]"
        ) from error
    return mean, std


def _three(text: str) -> _Channels:
    numbers = [float(number) for number in text.strip("[]()").split(",")]
    if len(numbers) == 1:
        numbers *= 3
    red, green, blue = numbers
    return red, green, blue


def _epsilon(path: Path, text: str | None) -> float | None:
    if text is None:
        return None
    try:
        epsilon = float(text)
        if not 0 <= epsilon < 1:
            raise ValueError(text)
    except ValueError as error:
        raise UserError(
            f"{path}: its metadata says bn_eps is {text!r}; write a number from 0 to 1"
        ) from error
    return epsilon
