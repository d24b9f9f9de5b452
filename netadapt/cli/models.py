"""Loading what the command line calls CHECKPOINT."""

from torch import Tensor, nn

from netadapt.cli.common import say
from netadapt.training.checkpoint import is_file_reference, load_seeded
from netadapt.training.trial import with_example_input

FRESH_SEED = 0


def load_with_input(
    reference: str, input_size: tuple[int, int] | None, batch: int = 1
) -> tuple[nn.Module, Tensor]:
    """Return the network, in eval mode, and an example input ``(batch, C, H, W)`` it takes.

    Fresh weights are the same every time.

    Raises:
        UserError: it cannot be loaded, no input size is known, or it does not run on it.
    """
    return with_example_input(load_seeded(reference, FRESH_SEED), input_size, batch)


def say_if_fresh(reference: str) -> None:
    """Tell the user, on stderr, that a result is of fresh weights, if it is."""
    if not is_file_reference(reference):
        say(f"{reference}: fresh weights, not trained")
