"""A traced network: its channel groups, and the narrower networks it can become."""

import math
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from numbers import Real
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from netadapt.errors import UserError
from netadapt.pruning import surgery
from netadapt.pruning.blocks import (
    Block,
    Bypassed,
    Dropped,
    Ties,
    drop,
    dropped_in,
    tied_rows,
)
from netadapt.pruning.channel_order import Importance, channel_order
from netadapt.pruning.examples import Example, input_options
from netadapt.pruning.flow import is_training_only
from netadapt.pruning.groups import (
    ChannelGroup,
    find_couplings,
    origin_names,
    traced_flow,
)
from netadapt.pruning.origin import Origin, remember
from netadapt.pruning.sizes import OperationMap
from netadapt.pruning.surgery import Slot

Widths = Mapping[str, int]


class PrunableModel:
    """A network, traced once. Everything that follows is a function of its widths.

    Attributes:
        model: the network as given, never changed; for one with ``nn.MultiheadAttention`` a copy
            that shares its tensors, with an attention in its place that can lose heads.
        example: what it was traced with: a tensor, a tuple of arguments, or a dictionary.
        groups: ``{name: ChannelGroup}``, in the order of execution.
        locked: ``{module name: reason}`` for producers whose channels cannot be pruned.
        operations: the linear map from widths to the sizes of all operations.
        blocks: ``{name: Block}`` that can be dropped; their width is 1, or 0 without them.
    """

    def __init__(
        self,
        model: nn.Module,
        example: Example,
        groups: dict[str, ChannelGroup],
        slots: dict[str, tuple[Slot, ...]],
        locked: dict[str, str],
        operations: OperationMap,
        origin: Origin,
        approximate: bool = False,
        blocks: Mapping[str, Block] = MappingProxyType({}),
    ) -> None:
        self.model = model
        self.example: Any = example
        self.groups = groups
        self.locked = locked
        self.operations = operations
        self._slots = slots
        self._origin = origin
        self._approximate = approximate
        self.blocks = blocks

    @property
    def example_input(self) -> Any:
        """What it was traced with, ``(N, C, H, W)`` for images; another name for ``example``."""
        return self.example

    @property
    def widths(self) -> dict[str, int]:
        """The channels of every group now, then 1 for every block that is there, else 0."""
        gone = dropped_in(self.model)
        there = {name: int(name not in gone) for name in self.blocks}
        return {name: group.width for name, group in self.groups.items()} | there

    @property
    def ties(self) -> Ties:
        """For each block, the groups that are one without it, where they can be pruned."""
        return {
            name: block.tie if block.tie and block.tie[0] in self.groups else None
            for name, block in self.blocks.items()
        }

    def tied(self, widths: Widths) -> dict[str, int]:
        """Return all ``widths``, both sides of a dropped block as wide as the narrower one."""
        complete = self._complete(widths)
        row = tied_rows(np.array([list(complete.values())]), list(complete), self.ties)[0]
        return dict(zip(complete, row.tolist(), strict=True))

    @property
    def slots(self) -> Mapping[str, tuple[Slot, ...]]:
        """For each group, where the modules hold its channels."""
        return self._slots

    def vector(self, widths: Widths) -> NDArray[np.int64]:
        """Return ``widths`` as ``(G,)`` in the order of ``widths``; a missing group keeps its own.

        Raises:
            UserError: an unknown group, or a width below 1 or above what the network has.
        """
        return np.array(list(self._complete(widths).values()), dtype=np.int64)

    def pruned(self, widths: Widths, importance: Importance = "l2") -> nn.Module:
        """Return a new network with ``widths``; this one is not changed.

        Args:
            widths: ``{group: channels}``; a group left out keeps its channels. ``{block: 0}``
                leaves a block out: it then hands on what it is given.
            importance: which channels are removed first: ``l2`` (the smallest norm of the filters),
                ``share`` (the smallest share of the group's weights), ``taylor`` (needs
                gradients), or ``{group: (channels,) scores}`` (the lowest scores).

        Raises:
            UserError: unknown group or importance, a width outside 1 to the group's own or
                between the group's steps, or different widths on the two sides of a block that is
                dropped.
        """
        complete = self._with_blocks_tied(widths)
        smaller = surgery.independent_copy(self.model)
        kept = self.kept_channels(complete, importance)
        surgery.cut(smaller, self._slots, kept)
        remember(smaller, self._origin, surgery.removed_channels(self._slots, kept))
        drop(smaller, [block for name, block in self.blocks.items() if not complete[name]])
        spec = getattr(smaller, "spec", None)
        if spec is not None:
            merged = {**(spec.widths or {}), **complete}
            for tie in dropped_in(smaller).values():  # in the order in which they hand widths on
                if tie is not None and tie[0] in merged:
                    merged[tie[1]] = merged[tie[0]]
            named = input_options(self.model, self.example) or spec.inputs
            smaller.spec = replace(spec, widths=merged, inputs=named)
        return smaller

    def masked(self, widths: Widths, importance: Importance = "l2") -> nn.Module:
        """Return the full-size network that must answer as ``pruned(widths, importance)`` does.

        A norm over all channels of a pruned stream computes its statistics over those that stay.
        A dropped block runs, and what it is given goes on in place of its answer.
        """
        complete = self._with_blocks_tied(widths)
        whole = surgery.independent_copy(self.model)
        kept = self.kept_channels(complete, importance)
        surgery.mask(whole, self._slots, kept)
        for name, block in self.blocks.items():
            part = whole.get_submodule(name)
            if complete[name] or isinstance(part, Dropped):
                continue
            channels = self.handed_on(name, kept)
            whole.set_submodule(name, Bypassed(part, block.dim, channels))
        return whole

    def handed_on(
        self, block: str, kept: Mapping[str, NDArray[np.intp]]
    ) -> tuple[NDArray[np.intp], NDArray[np.intp]] | None:
        """Return which channels go on without ``block``, and as which of those it wrote.

        Args:
            block: its name.
            kept: for each group that shrinks, the steps that stay.

        Returns:
            None where they are the same channels.
        """
        tie = self.ties[block]
        if tie is None:
            return None
        read, written = self._carrier(tie[0]), tie[1]
        both = (kept.get(name, np.arange(self.groups[name].width)) for name in (read, written))
        one, other = both
        return one, other

    def _carrier(self, group: str) -> str:
        """The group whose channels those of ``group`` are, now that blocks are dropped."""
        writers = {tie[1]: tie[0] for tie in dropped_in(self.model).values() if tie is not None}
        while group in writers:
            group = writers[group]
        return group

    def kept_channels(
        self, widths: Widths, importance: Importance = "l2"
    ) -> dict[str, NDArray[np.intp]]:
        """For each group that becomes narrower, the steps of its channels that stay, ascending."""
        kept = {}
        for name, group in self.groups.items():
            width = widths.get(name, group.width)
            if width == group.width or not self._slots[name]:
                continue
            order = channel_order(self.model, group, self._slots[name], importance)
            kept[name] = np.sort(order[len(order) - width // group.step :])
        return kept

    def descend(self, model: nn.Module) -> "PrunableModel":
        """Return the same for ``model``, which was pruned from this network, without new checks."""
        groups, slots = dict(self.groups), dict(self._slots)
        couplings = find_couplings(model, traced_flow(model, self.example, self._approximate))
        found = {coupling.group.name: coupling for coupling in couplings}
        widths = getattr(getattr(model, "spec", None), "widths", None) or {}
        gone = dropped_in(model)
        for name, group in self.groups.items():
            if name in found:
                groups[name], slots[name] = found[name].group, found[name].slots
                continue
            # one step is left, of which nothing can go, or it went with a block
            groups[name] = replace(group, width=widths.get(name, group.width))
            if any(group.producers[0].startswith(f"{block}.") for block in gone):
                slots[name] = ()
        return PrunableModel(
            model,
            self.example,
            groups,
            slots,
            self.locked,
            self.operations,
            origin_names(model, couplings),
            self._approximate,
            self.blocks,
        )

    def offering(self, blocks: Mapping[str, Block]) -> "PrunableModel":
        """Return the same with ``blocks`` to drop, whatever it had before."""
        return PrunableModel(
            self.model,
            self.example,
            self.groups,
            dict(self._slots),
            self.locked,
            self.operations.with_blocks({name: block.call for name, block in blocks.items()}),
            self._origin,
            self._approximate,
            blocks,
        )

    def parameter_shapes(self, widths: Widths) -> list[tuple[int, ...]]:
        """The shapes of the parameters that the deployed network has with ``widths``.

        Submodules for training alone are left out; a layer that computes its weight counts as
        the plain one it is deployed as.
        """
        complete = self._complete(widths)
        kept = {
            name: np.arange(complete[name] // group.step)
            for name, group in self.groups.items()
            if complete[name] < group.width
        }
        shapes = surgery.parameter_shapes(self._plain, self._slots, kept)
        gone = [f"{name}." for name in self.blocks if not complete[name]]
        return [
            shape
            for name, shape in shapes.items()
            if not is_training_only(self.model, name) and not name.startswith(tuple(gone))
        ]

    def parameter_count(self, widths: Widths | None = None) -> int:
        """Number of parameters of the deployed network with ``widths`` (default: its own)."""
        return sum(math.prod(shape) for shape in self.parameter_shapes(widths or {}))

    @cached_property
    def _plain(self) -> nn.Module:
        """The network with plain layers, on the meta device: only its shapes are needed."""
        return surgery.shapes_copy(self.model)

    def _with_blocks_tied(self, widths: Widths) -> dict[str, int]:
        complete = self._complete(widths)
        for name, tie in self.ties.items():
            if not complete[name] and tie and complete[tie[0]] != complete[tie[1]]:
                raise UserError(
                    f"block {name} cannot be dropped: group {tie[0]}, which it reads, has "
                    f"{complete[tie[0]]} channels and {tie[1]}, which it writes, "
                    f"{complete[tie[1]]}; give both the same width"
                )
        return complete

    def _complete(self, widths: Widths) -> dict[str, int]:
        now = self.widths
        for name, width in widths.items():
            if name in self.blocks:
                if width not in (0, now[name]):
                    there = "0 or 1" if now[name] else "0: it is dropped"
                    raise UserError(f"block {name} cannot have width {width!r}, only {there}")
                continue
            if name not in self.groups:
                raise UserError(
                    f"unknown channel group {name!r}; the network has: {', '.join(now)}"
                )
            full, step = self.groups[name].width, self.groups[name].step
            possible = isinstance(width, Real) and 1 <= width <= full and width == int(width)
            if not possible or int(width) % step:
                group = self.groups[name]
                raise UserError(
                    f"group {name} cannot have {width!r} channels: {possible_widths(group)}"
                )
        return {name: int(widths.get(name, own)) for name, own in now.items()}


def possible_widths(group: ChannelGroup) -> str:
    """Say which widths ``group`` can have."""
    steps = "" if group.step == 1 else f" and goes in steps of {group.step}"
    return f"it has {group.width}{steps}"
