"""What the loss would rise by if a channel were gone, from gradients alone."""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from netadapt.errors import UserError
from netadapt.pruning import PrunableModel
from netadapt.pruning.examples import batch_of, placed
from netadapt.pruning.surgery import Slot
from netadapt.training.task import Targets, Task, on_device

Reads = dict[str, list[tuple[str, Slot]]]  # by module: the groups whose channels it reads


def fisher_scores(
    prunable: PrunableModel,
    task: Task,
    *,
    device: torch.device,
    batches: int,
    batch_size: int,
    seed: int,
) -> dict[str, NDArray[np.float64]]:
    """Return ``{group: (steps,)}``: the mean over examples of (d loss / d mask)^2 / 2.

    The mask of a channel (of a step, where a group's channels go several at once) multiplies it
    wherever a layer reads it, so that a mask of 0 is the network without the channel; the square
    over examples stands for the second derivative. Gradients are those of the network in eval
    mode. ``{block: (1,)}``: the same sum over the channels that a block writes, whose mask at 0
    puts what goes on without the block in their place; empty for one that is dropped.

    Source: Theis et al., Faster Gaze Prediction with Dense Networks and Fisher Pruning, 2018;
    over coupled layers: Liu et al., Group Fisher Pruning, ICML 2021.

    Raises:
        UserError: a score is not finite.
    """
    model = copy.deepcopy(prunable.model).eval().requires_grad_(False).to(device)
    reads = _reads(prunable)
    steps = {name: group.width // group.step for name, group in prunable.groups.items()}
    there = [name for name in prunable.blocks if prunable.widths[name]]
    total = {name: np.zeros(count) for name, count in steps.items()}
    total |= {name: np.zeros(1 if name in there else 0) for name in prunable.blocks}
    for draw in range(batches):
        inputs, targets = batch_on(device, task, draw, batch_size, seed)
        masks = {
            name: torch.ones(batch_of(inputs), count, device=device, requires_grad=True)
            for name, count in steps.items()
        }
        gates: dict[str, Tensor] = {}
        with (
            torch.enable_grad(),
            _masked_reads(model, reads, masks),
            gated_blocks(prunable, model, there, gates),
        ):
            torch.autograd.backward(task.loss(model, inputs, targets))
        for name, gate in gates.items():
            if gate.grad is not None:
                each = batch_of(inputs) * gate.grad.cpu().double().numpy()
                total[name] += (each**2).mean(axis=0).sum() / (2 * batches)
        for name, mask in masks.items():
            if mask.grad is not None:
                each = (
                    batch_of(inputs) * mask.grad.cpu().double().numpy()
                )  # the loss is a mean over examples
                total[name] += (each**2).mean(axis=0) / (2 * batches)
    for name, scores in total.items():
        if not np.isfinite(scores).all():
            raise UserError(
                f"group {name} has no finite score a channel; is the network trained to the end? "
                "--strategy netadapt needs none"
            )
    return total


def batch_on(
    device: torch.device, task: Task, draw: int, batch_size: int, seed: int
) -> tuple[Any, Targets]:
    """Return a training batch on ``device``."""
    inputs, targets = task.train_batch(draw, batch_size, seed)
    return placed(inputs, device), on_device(targets, device)


def _reads(prunable: PrunableModel) -> Reads:
    reads: Reads = {}
    for group, slots in prunable.slots.items():
        for slot in slots:
            if slot.side == "in":
                reads.setdefault(slot.module, []).append((group, slot))
    return reads


@contextmanager
def _masked_reads(model: nn.Module, reads: Reads, masks: dict[str, Tensor]) -> Iterator[None]:
    """Multiply what every layer reads by the ``(N, steps)`` masks of the groups it reads."""

    def hook(module: nn.Module, given: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        first, *rest = given
        features_last = isinstance(module, nn.Linear)
        width = first.shape[-1 if features_last else 1]
        mask = torch.ones(len(first), width, device=first.device)
        for group, slot in reads[names[module]]:
            places = torch.from_numpy(slot.indices).to(first.device)  # (steps, k)
            values = masks[group][:, :, None].expand(-1, -1, places.shape[1])
            mask = mask.index_copy(1, places.flatten(), values.flatten(1))
        shape = [len(first), *[1] * (first.dim() - 1)]
        shape[-1 if features_last else 1] = width
        return (first * mask.view(shape), *rest)

    names = {model.get_submodule(name): name for name in reads}
    hooks = [module.register_forward_pre_hook(hook) for module in names]
    try:
        yield
    finally:
        for handle in hooks:
            handle.remove()


@contextmanager
def gated_blocks(
    prunable: PrunableModel, model: nn.Module, names: Sequence[str], gates: dict[str, Tensor]
) -> Iterator[None]:
    """Let gates of 1 weigh what blocks write against what goes on without them.

    Args:
        prunable: the network.
        model: a copy of it that is run.
        names: of the blocks.
        gates: filled with ``(N, channels)`` for each block that runs.
    """

    def hook(name: str, given: Tensor, written: Tensor) -> Tensor:
        block, channels = prunable.blocks[name], without[name]
        if channels is None:
            instead = given
        else:
            read, places = (torch.from_numpy(one).to(given.device) for one in channels)
            stays = given.index_select(block.dim, read)
            instead = torch.zeros_like(written).index_copy(block.dim, places, stays)
        shape = [1] * written.dim()
        shape[0], shape[block.dim] = len(written), written.shape[block.dim]
        gates[name] = torch.ones(shape[0], shape[block.dim], device=given.device)
        gates[name].requires_grad_()
        return instead + gates[name].view(shape) * (written - instead)

    without = {name: _handed_on(prunable, name) for name in names}
    hooks = [
        model.get_submodule(name).register_forward_hook(
            lambda _, given, written, name=name: hook(name, given[0], written)
        )
        for name in names
    ]
    try:
        yield
    finally:
        for handle in hooks:
            handle.remove()


def _handed_on(
    prunable: PrunableModel, block: str
) -> tuple[NDArray[np.intp], NDArray[np.intp]] | None:
    """Return which channels would go on without ``block``, and in the place of which others."""
    tied = prunable.tied({block: 0})
    return prunable.handed_on(block, prunable.kept_channels(tied, "share"))
