"""Loading what the command line calls CHECKPOINT."""

import torch
from torch import Tensor, nn

from netadapt.cli.common import say
from netadapt.errors import UserError
from netadapt.models.inputs import input_channels
from netadapt.models.inputs import input_size as remembered_size
from netadapt.training.checkpoint import is_file_reference, load_model
from netadapt.training.trial import trial_run


def load_with_input(
    reference: str, input_size: tuple[int, int] | None, batch: int = 1
) -> tuple[nn.Module, Tensor]:
    """Return the network, in eval mode, and an example input ``(batch, C, H, W)`` it takes.

    C is what its first convolution takes.

    Raises:
        UserError: it cannot be loaded, no input size is known, or it does not run on it.
    """
    model = load_model(reference).eval()
    size = input_size or remembered_size(model)
    if size is None:
        raise UserError(f"{reference} remembers no input size; give one with --input-size HxW")
    random = torch.Generator().manual_seed(0)
    try:
        example = torch.rand((batch, input_channels(model), *size), generator=random)
    except RuntimeError as error:
        raise UserError(
            f"{batch} images of {size[0]}x{size[1]} do not fit into memory; give fewer or smaller"
        ) from error
    trial_run(model, example)
    return model, example


def say_if_fresh(reference: str) -> None:
    """Tell the user, on stderr, that a result is of fresh weights, if it is."""
    if not is_file_reference(reference):
        say(f"{reference}: fresh weights, not trained")
