"""What a network reads."""

import inspect
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from netadapt.errors import UserError
from netadapt.pruning.examples import Example, tensors_in


class Normalise(nn.Module):
    """RGB in [0, 1], ``(N, 3, H, W)``, less ``mean`` and over ``std``, as an encoder wants it."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(1, -1, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, -1, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """Return the image normalised; the shape stays."""
        return (image - self.mean) / self.std


def input_channels(model: nn.Module) -> int:
    """Return the channels of its input: what its first convolution takes, or else 3."""
    shape = getattr(model, "deployed_shape", None)
    if shape is not None:
        return int(shape[0])
    first = next((module for module in model.modules() if isinstance(module, nn.Conv2d)), None)
    return 3 if first is None else first.in_channels


def input_size(model: nn.Module) -> tuple[int, int] | None:
    """Return the ``(H, W)`` it was trained or exported at; ``None`` if it remembers none."""
    shape = getattr(model, "deployed_shape", None)
    if shape is not None:
        return int(shape[1]), int(shape[2])
    size: tuple[int, int] | None = getattr(getattr(model, "spec", None), "input_size", None)
    return size


# a name of forward's arguments, or of a dictionary in one of them; sizes; a type
INPUT = re.compile(r"([A-Za-z_]\w*(?:\.\w+)*)=(\d{1,6}(?:x\d{1,6})*)(?::(\w+))?", re.ASCII)
TYPES = {
    str(kind).removeprefix("torch."): kind
    for kind in (
        torch.float32, torch.float16, torch.bfloat16, torch.float64,
        torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8, torch.bool,
    )
}  # fmt: skip
MAX_INPUTS = 64
MAX_NUMBERS = 2**28  # in one input


@dataclass(frozen=True)
class NamedInput:
    """One ``--input NAME=1x3x64x64[:TYPE]``.

    Attributes:
        path: the argument of ``forward``, then the keys of the dictionaries in it.
        shape: the sizes, the batch first.
        type: of its numbers, float32 if nothing is said.
    """

    path: tuple[str, ...]
    shape: tuple[int, ...]
    type: torch.dtype = torch.float32

    @classmethod
    def parse(cls, text: str) -> "NamedInput":
        """Read an option. Raises ``UserError`` for what is none."""
        match = INPUT.fullmatch(text.strip())
        if not match:
            raise UserError(
                f"--input {text[:100]!r} is not NAME=SIZES, as in left=1x3x64x64 or "
                "tokens=1x128:int64"
            )
        kind = match[3] or "float32"
        if kind not in TYPES:
            raise UserError(f"--input {text}: unknown type {kind!r}; known: {', '.join(TYPES)}")
        shape = tuple(map(int, match[2].split("x")))
        if not 1 <= math.prod(shape) <= MAX_NUMBERS:
            raise UserError(f"--input {text} holds no number, or more than {MAX_NUMBERS}")
        return cls(tuple(match[1].split(".")), shape, TYPES[kind])

    def tensor(self, random: torch.Generator) -> Tensor:
        """Return random numbers from 0 to 1; ones where they are whole numbers or true and false.

        A one is a valid index of most tables, and a mask that hides nothing.
        """
        if self.type.is_floating_point:
            return torch.rand(self.shape, generator=random).to(self.type)
        return torch.ones(self.shape, dtype=self.type)


def named_example(
    inputs: Sequence[str], model: nn.Module, batch: int | None = None, seed: int = 0
) -> Any:
    """Return the example input that ``--input`` options describe.

    Args:
        inputs: the options; a name with dots is a key of a dictionary: ``batch.left`` is
            ``batch["left"]`` of the argument ``batch``.
        model: the network. One that takes a single tensor gets it alone, all others by name.
        batch: how many examples it holds; inputs that begin with the size that the first one
            begins with do so with this one. None: as the options say.
        seed: of the random numbers.

    Raises:
        UserError: an option that cannot be read, or two of one name.
    """
    if len(inputs) > MAX_INPUTS:
        raise UserError(f"{len(inputs)} times --input; a network has at most {MAX_INPUTS}")
    parsed = [NamedInput.parse(text) for text in inputs]
    first = parsed[0].shape[0]
    random = torch.Generator().manual_seed(seed)
    example: dict[str, Any] = {}
    for one in parsed:
        if batch is not None and one.shape[0] == first:
            one = replace(one, shape=(batch, *one.shape[1:]))
        _put(example, one.path, one.tensor(random))
    if len(parsed) == 1 and len(parsed[0].path) == 1 and _is_first(model, parsed[0].path[0]):
        return next(iter(example.values()))
    return example


def _put(example: dict[str, Any], path: Sequence[str], tensor: Tensor) -> None:
    *outer, last = path
    for name in outer:
        example = example.setdefault(name, {})
        if not isinstance(example, dict):
            raise UserError(f"--input {'.'.join(path)}: {name} is a tensor and a dictionary")
    if last in example:
        raise UserError(f"--input {'.'.join(path)} is given twice")
    example[last] = tensor


def _is_first(model: nn.Module, name: str) -> bool:
    """Whether ``name`` is what ``forward`` takes first, or it takes whatever comes."""
    try:
        parameters = [*inspect.signature(model.forward).parameters.values()]
    except (TypeError, ValueError):
        return True
    if not parameters or parameters[0].kind is inspect.Parameter.VAR_POSITIONAL:
        return True
    return parameters[0].name == name and parameters[0].kind is not inspect.Parameter.KEYWORD_ONLY


def remembered_inputs(model: nn.Module) -> tuple[str, ...]:
    """Return the ``--input`` options it was saved or exported with; empty for one image."""
    if getattr(model, "deployed_shape", None) is not None:
        deployed: tuple[str, ...] = getattr(model, "inputs", ())
        return deployed
    found: tuple[str, ...] = getattr(getattr(model, "spec", None), "inputs", ())
    return found


def named_batch(inputs: Sequence[str]) -> int:
    """Return the batch of ``--input`` options: what the first one begins with."""
    return NamedInput.parse(inputs[0]).shape[0]


def image_size(example: Example) -> tuple[int, int] | None:
    """Return ``(H, W)`` of the first image in ``example``; None where there is none."""
    images = (tensor for tensor in tensors_in(example) if tensor.dim() == 4)
    first = next(images, None)
    return None if first is None else (first.shape[2], first.shape[3])
