"""Loading what the command line calls CHECKPOINT."""

from pathlib import Path

import torch
from torch import Tensor, nn

from netadapt.cli.common import say
from netadapt.errors import UserError
from netadapt.training.checkpoint import load_model


def load_with_input(
    reference: str, input_size: tuple[int, int] | None, batch: int = 1
) -> tuple[nn.Module, Tensor]:
    """Return the network and an example input ``(batch, 3, H, W)``.

    Fresh weights are said so on stderr. Raises ``UserError`` if no input size is known.
    """
    model = load_model(reference)
    if not Path(reference).exists():
        say(f"{reference}: fresh weights, not trained")
    size = input_size or getattr(getattr(model, "spec", None), "input_size", None)
    if size is None:
        raise UserError(f"{reference} remembers no input size; give one with --input-size HxW")
    random = torch.Generator().manual_seed(0)
    return model.eval(), torch.rand((batch, 3, *size), generator=random)
