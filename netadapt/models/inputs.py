"""What a network reads."""

from torch import nn


def input_channels(model: nn.Module) -> int:
    """Return the channels of its input: what its first convolution takes, or else 3."""
    first = next((module for module in model.modules() if isinstance(module, nn.Conv2d)), None)
    return 3 if first is None else first.in_channels
