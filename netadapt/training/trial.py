"""Runs a network once, to find out early whether it runs at all."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from netadapt.errors import UserError
from netadapt.models.inputs import input_channels, named_example, remembered_inputs
from netadapt.models.inputs import input_size as remembered_size
from netadapt.models.spec import ModelSpec
from netadapt.pruning.examples import Example, run, shapes
from netadapt.training.task import evaluating


def trial_run(model: nn.Module, example_input: Example) -> Any:
    """Return the output of ``model`` in eval mode for ``example_input``; its mode is restored.

    Raises:
        UserError: the network has no weights, or does not run on this input.
    """
    name = type(model).__name__
    if next(model.parameters(), None) is None:
        raise UserError(f"{name} has no weights; a network needs some to be trained or pruned")
    try:
        with evaluating(model):
            return run(model, example_input)
    except UserError:
        raise
    except Exception as error:  # the user's own network may raise anything
        reason = next(iter(str(error).strip().splitlines()), "no reason given")
        raise UserError(
            f"{name} does not run on an input of shape {shapes(example_input)}: "
            f"{type(error).__name__}: {reason}"
        ) from error


def with_example_input(
    model: nn.Module,
    input_size: tuple[int, int] | None = None,
    batch: int | None = None,
    inputs: Sequence[str] = (),
) -> tuple[nn.Module, Any]:
    """Return ``model`` in eval mode and an example input that it takes.

    For networks of one image it is ``(batch, C, H, W)``: C is what the first convolution takes,
    ``(H, W)`` is ``input_size``, or what the checkpoint remembers. Otherwise it is what
    ``inputs``, or the checkpoint, say (see :func:`~netadapt.models.inputs.named_example`), and
    the network remembers it in its spec.

    Args:
        model: the network.
        input_size: ``(H, W)`` of an image.
        batch: how many examples. None: 1, or as ``inputs`` say.
        inputs: ``--input`` options.

    Raises:
        UserError: no input size is known, both are given, or the network does not run on such an
            input.
    """
    if inputs and input_size is not None:
        raise UserError("give --input or --input-size, not both")
    if inputs:
        remember_inputs(model, inputs)
    known = tuple(inputs) or (() if input_size is not None else remembered_inputs(model))
    example = named_example(known, model, batch) if known else _image(model, input_size, batch or 1)
    model.eval()
    trial_run(model, example)
    return model, example


def remember_inputs(model: nn.Module, inputs: Sequence[str]) -> None:
    """Note ``--input`` options in the spec of ``model``, if it has one, in place."""
    is_built = not hasattr(model, "deployed_shape")  # an exported file has no spec
    spec = getattr(model, "spec", None) if is_built else None
    if isinstance(spec, ModelSpec):
        model.spec = replace(spec, inputs=tuple(inputs))  # type: ignore[assignment]


def _image(model: nn.Module, input_size: tuple[int, int] | None, batch: int) -> Tensor:
    size = input_size or remembered_size(model)
    if size is None:
        name = getattr(getattr(model, "spec", None), "name", type(model).__name__)
        raise UserError(
            f"{name} remembers no input size; give one with --input-size HxW, or --input "
            "NAME=SIZES if it takes no single image"
        )
    random = torch.Generator().manual_seed(0)
    try:
        return torch.rand((batch, input_channels(model), *size), generator=random)
    except RuntimeError as error:
        raise UserError(
            f"{batch} images of {size[0]}x{size[1]} do not fit into memory; give fewer or smaller"
        ) from error
