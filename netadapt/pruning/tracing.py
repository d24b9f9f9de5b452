"""From a network to what can be pruned of it, and from widths to a network of them."""

from collections.abc import Container, Sequence
from dataclasses import replace

import numpy as np
from torch import nn

from netadapt.errors import UserError
from netadapt.pruning import surgery
from netadapt.pruning.block_check import without_failing
from netadapt.pruning.blocks import chosen_blocks, drop, possible_blocks
from netadapt.pruning.check import Suspects, failures
from netadapt.pruning.examples import Example
from netadapt.pruning.groups import (
    ChannelGroup,
    Coupling,
    find_couplings,
    locked_layers,
    origin_names,
    traced_flow,
)
from netadapt.pruning.locking import locked_by
from netadapt.pruning.origin import remember
from netadapt.pruning.prunable import PrunableModel, Widths, possible_widths
from netadapt.pruning.refusals import refuse_untraceable
from netadapt.pruning.sizes import Sizes
from netadapt.pruning.surgery import Slot


def trace(
    model: nn.Module,
    example_input: Example,
    lock: str | Sequence[str] = (),
    allow_approximate: bool = False,
    blocks: bool = False,
) -> PrunableModel:
    """Trace ``model`` and find its channel groups.

    Args:
        model: any network; it is not changed, and keeps its training mode.
        example_input: one input, ``(N, C, H, W)``; or a tuple of positional arguments, or a
            dictionary of named ones.
        lock: patterns of groups or layers to leave as wide as they are, such as ``encoder.*``.
        allow_approximate: whether to prune channels that LayerNorm, RMSNorm or a GroupNorm of one
            group standardises together, such as the stream of a transformer. Their statistics
            are then those of the channels that stay.
        blocks: whether to look for blocks that can be dropped as well.

    Raises:
        UserError: the network cannot be run on the input, it is no plain network, or a pattern
            of ``lock`` matches nothing.
    """
    refuse_untraceable(model)
    model = surgery.with_plain_attention(model, example_input)
    flow = traced_flow(model, example_input, allow_approximate)
    couplings = find_couplings(model, flow)
    sizes = Sizes(flow, couplings)
    locked = {c.group.name: c.reason for c in couplings if c.reason is not None}
    locked = locked_by(lock, [c.group for c in couplings]) | sizes.unclear | locked
    groups, slots = _chosen(couplings, locked)
    watched = locked_layers(model, flow, locked, couplings).keys()
    producers = {name for group in groups.values() for name in group.producers}
    locked |= failures(
        Suspects(
            model,
            example_input,
            groups,
            slots,
            sizes.map(list(groups)),
            [name for name in watched if name not in producers],
            {c.group.name for c in couplings if c.sliced},
            flow.trains_otherwise,
        )
    )
    groups, slots = _chosen(couplings, locked)
    offered = chosen_blocks(flow, couplings, groups, lock) if blocks else {}
    found = PrunableModel(
        model,
        example_input,
        groups,
        slots,
        locked_layers(model, flow, locked, couplings),
        sizes.map(list(groups)),
        origin_names(model, couplings),
        allow_approximate,
    )
    if not offered:
        return found
    return without_failing(found.offering(offered), flow.trains_otherwise)


def _chosen(
    couplings: Sequence[Coupling], locked: Container[str]
) -> tuple[dict[str, ChannelGroup], dict[str, tuple[Slot, ...]]]:
    """Return the groups that are not locked, and where their channels lie."""
    chosen = [coupling for coupling in couplings if coupling.group.name not in locked]
    groups = {coupling.group.name: coupling.group for coupling in chosen}
    return groups, {coupling.group.name: coupling.slots for coupling in chosen}


def reshaped(model: nn.Module, example_input: Example, widths: Widths) -> nn.Module:
    """Return ``model`` with ``widths``, for a checkpoint's weights; its own channels do not matter.

    Raises:
        UserError: the network has no such group, or not so many channels.
    """
    refuse_untraceable(model)
    model = surgery.with_plain_attention(model, example_input)
    smaller = surgery.independent_copy(model)
    # which channels go together does not depend on whether streams may be pruned
    found = find_couplings(model, traced_flow(model, example_input, approximate=True))
    known = {coupling.group.name: coupling for coupling in found}
    kept = {}
    dropped = [name for name, width in widths.items() if name not in known and not width]
    modules = dict(model.named_modules())
    for name, width in widths.items():
        if name not in known and name in modules and width in (0, 1):  # a block
            continue
        if name not in known:
            raise UserError(f"unknown channel group {name!r}; the network has: {', '.join(known)}")
        group = known[name].group
        if not 1 <= width <= group.width or width % group.step:
            raise UserError(f"group {name} cannot have {width} channels: {possible_widths(group)}")
        if width < group.width:
            kept[name] = np.arange(width // group.step)
    slots = {name: known[name].slots for name in kept}
    surgery.cut(smaller, slots, kept)
    remember(smaller, origin_names(model, found), surgery.removed_channels(slots, kept))
    _leave_out(smaller, example_input, dropped)
    spec = getattr(smaller, "spec", None)
    if spec is not None:
        smaller.spec = replace(spec, widths=dict(widths))
    return smaller


def _leave_out(model: nn.Module, example_input: Example, names: Sequence[str]) -> None:
    """Drop the blocks ``names`` of a network that has its widths, in place."""
    if not names:
        return
    flow = traced_flow(model, example_input, approximate=True)
    possible = possible_blocks(flow, find_couplings(model, flow))
    for name in names:
        if name not in possible:
            raise UserError(f"{name} is no block that could be dropped of {type(model).__name__}")
    drop(model, [possible[name] for name in names])
