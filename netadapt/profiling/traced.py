"""What a runtime loads: a network, its input, and the operations that it executes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from netadapt.pruning import Operation, PrunableModel
from netadapt.pruning.examples import Example
from netadapt.pruning.operations import COPIES, record_operations
from netadapt.pruning.surgery import structural_copy


@dataclass(frozen=True)
class TracedNetwork:
    """A network, from which the networks that a runtime loads are pruned.

    Attributes:
        model: the network itself, loaded in eval mode.
        example_input: ``(N, C, H, W)``, N the target's batch; or several inputs.
        operations: what the model executes, in order.
        prunable: the trace, where there is one.
    """

    model: nn.Module
    example_input: Any
    operations: tuple[Operation, ...]
    prunable: PrunableModel | None = None

    @property
    def kinds(self) -> list[str]:
        """The kinds of the operations."""
        return [operation.kind for operation in self.operations]

    @classmethod
    def of(cls, prunable: PrunableModel) -> "TracedNetwork":
        """Take over what ``trace`` found."""
        operations = prunable.operations.operations
        return cls(prunable.model, prunable.example_input, operations, prunable)

    @classmethod
    def recorded(
        cls, model: nn.Module, example_input: Example, prunable: PrunableModel | None = None
    ) -> "TracedNetwork":
        """Run a copy of ``model`` once and note its operations; needs no channel groups.

        Args:
            model: the network.
            example_input: what it is run on.
            prunable: the trace of ``model``, if networks pruned from it are to be loaded too.
        """
        operations, _ = record_operations(structural_copy(model).eval(), example_input)
        return cls(model, example_input, tuple(operations), prunable)

    def narrowed(self, share: float) -> nn.Module | None:
        """Return the network with about ``share`` of every group's steps, if it can be pruned."""
        if self.prunable is None or not self.prunable.groups:
            return None
        widths = {}
        for name, group in self.prunable.groups.items():
            steps = group.width // group.step
            widths[name] = group.step * min(max(1, round(share * steps)), max(1, steps - 1))
        return self.prunable.pruned(widths)


def booked(kinds: Sequence[str], times: Sequence[float], traced: Sequence[str]) -> list[float]:
    """Return the time of each traced operation, given what a pruned network executed.

    Where fewer heads or channels are left, tensors may lie in memory as they are wanted: a copy is
    then missing, and takes no time. One that comes in addition belongs to what runs before it.
    """
    if len(kinds) == len(traced):
        return list(times)
    found: list[float] = []
    for kind, seconds in zip(kinds, times, strict=True):
        while len(found) < len(traced) and traced[len(found)] in COPIES and kind not in COPIES:
            found.append(0.0)
        if kind in COPIES and found and traced[len(found) : len(found) + 1] != [kind]:
            found[-1] += seconds
        else:
            found.append(seconds)
    return found + [0.0] * (len(traced) - len(found))
