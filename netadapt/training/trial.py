"""Runs a network once, to find out early whether it runs at all."""

from typing import Any

import torch
from torch import Tensor, nn

from netadapt.errors import UserError
from netadapt.models.inputs import input_channels
from netadapt.models.inputs import input_size as remembered_size
from netadapt.training.task import evaluating


def trial_run(model: nn.Module, example_input: Tensor) -> Any:
    """Return the output of ``model`` in eval mode for ``example_input``; its mode is restored.

    Raises:
        UserError: the network has no weights, or does not run on this input.
    """
    name = type(model).__name__
    if next(model.parameters(), None) is None:
        raise UserError(f"{name} has no weights; a network needs some to be trained or pruned")
    try:
        with evaluating(model):
            return model(example_input)
    except UserError:
        raise
    except Exception as error:  # the user's own network may raise anything
        reason = next(iter(str(error).strip().splitlines()), "no reason given")
        raise UserError(
            f"{name} does not run on an input of shape {tuple(example_input.shape)}: "
            f"{type(error).__name__}: {reason}"
        ) from error


def with_example_input(
    model: nn.Module, input_size: tuple[int, int] | None = None, batch: int = 1
) -> tuple[nn.Module, Tensor]:
    """Return ``model`` in eval mode and an example input ``(batch, C, H, W)`` that it takes.

    C is the number of channels that its first convolution takes; ``(H, W)`` is ``input_size``, or
    else the input size stored in its checkpoint.

    Raises:
        UserError: no input size is known, or the network does not run on such an input.
    """
    size = input_size or remembered_size(model)
    if size is None:
        name = getattr(getattr(model, "spec", None), "name", type(model).__name__)
        raise UserError(f"{name} remembers no input size; give one with --input-size HxW")
    random = torch.Generator().manual_seed(0)
    try:
        example = torch.rand((batch, input_channels(model), *size), generator=random)
    except RuntimeError as error:
        raise UserError(
            f"{batch} images of {size[0]}x{size[1]} do not fit into memory; give fewer or smaller"
        ) from error
    model.eval()
    trial_run(model, example)
    return model, example
