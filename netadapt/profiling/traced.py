"""What a runtime loads: a network, its input, and the operations that it executes."""

from dataclasses import dataclass
from typing import Any

from torch import nn

from netadapt.pruning import Operation, PrunableModel
from netadapt.pruning.examples import Example
from netadapt.pruning.operations import record_operations
from netadapt.pruning.surgery import structural_copy


@dataclass(frozen=True)
class TracedNetwork:
    """A network, from which the networks that a runtime loads are pruned.

    Attributes:
        model: the network itself, loaded in eval mode.
        example_input: ``(N, C, H, W)``, N the target's batch; or several inputs.
        operations: what the model executes, in order.
    """

    model: nn.Module
    example_input: Any
    operations: tuple[Operation, ...]

    @classmethod
    def of(cls, prunable: PrunableModel) -> "TracedNetwork":
        """Take over what ``trace`` found."""
        return cls(prunable.model, prunable.example_input, prunable.operations.operations)

    @classmethod
    def recorded(cls, model: nn.Module, example_input: Example) -> "TracedNetwork":
        """Run a copy of ``model`` once and note its operations; needs no channel groups."""
        operations, _ = record_operations(structural_copy(model).eval(), example_input)
        return cls(model, example_input, tuple(operations))
