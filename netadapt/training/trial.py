"""Running a network once, to know that it runs before anything is built on it."""

from typing import Any

from torch import Tensor, nn

from netadapt.errors import UserError
from netadapt.training.task import evaluating


def trial_run(model: nn.Module, example_input: Tensor) -> Any:
    """Return what ``model``, in eval mode, answers to ``example_input``; its mode is restored.

    Raises:
        UserError: it has no weights, or does not run on this input.
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
