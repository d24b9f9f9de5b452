"""Loading what the command line calls CHECKPOINT."""

from collections.abc import Sequence
from typing import Any

from torch import nn

from netadapt.cli.common import say
from netadapt.training.checkpoint import is_file_reference, load_seeded
from netadapt.training.trial import with_example_input

FRESH_SEED = 0


def load_with_input(
    reference: str,
    input_size: tuple[int, int] | None,
    batch: int | None = None,
    inputs: Sequence[str] = (),
    output: str | None = None,
    *,
    deployed: bool = False,
) -> tuple[nn.Module, Any]:
    """Return the network, in eval mode, and an example input that it takes: a batch of images.

    Fresh weights are the same every time.

    Raises:
        UserError: it cannot be loaded, no input size is known, or it does not run on it.
    """
    return with_example_input(
        load_seeded(reference, FRESH_SEED, output=output, deployed=deployed),
        input_size,
        batch,
        inputs,
    )


def say_if_fresh(reference: str) -> None:
    """Say on stderr if a result is that of fresh, untrained weights."""
    if not is_file_reference(reference):
        say(f"{reference}: fresh weights, not trained")
