"""A network without a block must answer as one in which the block runs and is not listened to."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from netadapt.pruning.blocks import Bypassed, drop
from netadapt.pruning.check import TOLERANCES, disagreement, random_like, without_copies
from netadapt.pruning.examples import Example, mapped, output_tensors, run
from netadapt.pruning.flow import as_in_training
from netadapt.pruning.operations import (
    Operation,
    record_operations,
)
from netadapt.pruning.prunable import PrunableModel
from netadapt.pruning.surgery import independent_copy, undone


def without_failing(prunable: PrunableModel, trains_otherwise: bool) -> PrunableModel:
    """Return ``prunable`` with those of its blocks that can be dropped.

    Each is dropped alone at full widths; then all together, at random ones.

    Args:
        prunable: a network with all blocks that may be such.
        trains_otherwise: whether ``forward`` does other things in training.
    """
    model = independent_copy(prunable.model).eval()
    trial = _Trial(prunable, mapped(random_like, prunable.example), trains_otherwise)
    holding = [name for name in prunable.blocks if trial.holds_alone(model, name)]
    while holding and not trial.hold_together(holding):
        holding.pop()
    return prunable.offering({name: prunable.blocks[name] for name in holding})


@dataclass(frozen=True)
class _Answer:
    """What a network does.

    Attributes:
        operations: that it executes.
        outputs: its answer.
        trained: the shapes that training gives; None where it cannot be run like that.
    """

    operations: Sequence[Operation]
    outputs: Sequence[Tensor]
    trained: list[torch.Size] | None

    def agrees(self, other: "_Answer") -> bool:
        """Whether the answers are the same, but for rounding."""
        shapes = [[tensor.shape for tensor in one.outputs] for one in (self, other)]
        if shapes[0] != shapes[1] or self.trained != other.trained:
            return False
        tolerance = max((TOLERANCES.get(tensor.dtype, 0.0) for tensor in self.outputs), default=0.0)
        return disagreement(zip(other.outputs, self.outputs, strict=True)) <= tolerance

    def executes(self, prunable: PrunableModel, widths: Mapping[str, int]) -> bool:
        """Whether the operations are those predicted."""
        predicted = without_copies(prunable.operations.at(prunable.vector(widths)))
        executed = without_copies(self.operations)
        return [(o.kind, o.sizes) for o in predicted] == [(o.kind, o.sizes) for o in executed]


@dataclass(frozen=True)
class _Trial:
    prunable: PrunableModel
    example: Example
    trains_otherwise: bool

    def holds_alone(self, model: nn.Module, name: str) -> bool:
        """Whether a block can be dropped at full widths; ``model`` is then as before."""
        block = self.prunable.blocks[name]
        try:
            with undone(model):
                drop(model, [block])
                without = self._answer(model)
            with undone(model):
                model.set_submodule(name, Bypassed(model.get_submodule(name), block.dim, None))
                masked = self._answer(model)
        except Exception:  # of any class: the forward is not ours
            return False
        return without.agrees(masked) and without.executes(self.prunable, {name: 0})

    def hold_together(self, names: Sequence[str]) -> bool:
        """Whether all of ``names`` can be dropped at random widths."""
        random = np.random.default_rng(0)
        narrow = {
            name: group.step * int(random.integers(1, group.width // group.step + 1))
            for name, group in self.prunable.groups.items()
        }
        widths = self.prunable.tied({**narrow, **dict.fromkeys(names, 0)})
        try:
            without = self._answer(self.prunable.pruned(widths).eval())
            masked = self._answer(self.prunable.masked(widths).eval())
        except Exception:  # of any class: the forward is not ours
            return False
        return without.agrees(masked) and without.executes(self.prunable, widths)

    def _answer(self, model: nn.Module) -> _Answer:
        operations, output = record_operations(model, self.example)
        outputs = output_tensors(output)
        return _Answer(operations, outputs, self._trained(model) if self.trains_otherwise else None)

    def _trained(self, model: nn.Module) -> list[torch.Size] | None:
        try:
            with torch.no_grad(), torch.random.fork_rng([]), as_in_training(model):
                return [tensor.shape for tensor in output_tensors(run(model, self.example))]
        except Exception:  # whatever it is that a foreign forward asks for in training
            return None
