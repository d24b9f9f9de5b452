"""A traced network: its channel groups, and the narrower networks it can become."""

import math
from collections.abc import Container, Mapping, Sequence
from dataclasses import replace
from functools import cached_property
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from netadapt.errors import UserError
from netadapt.pruning import surgery
from netadapt.pruning.channel_order import Importance, channel_order
from netadapt.pruning.check import Suspects, failures
from netadapt.pruning.examples import Example, input_options
from netadapt.pruning.flow import is_training_only
from netadapt.pruning.groups import (
    ChannelGroup,
    Coupling,
    find_couplings,
    locked_layers,
    origin_names,
    traced_flow,
)
from netadapt.pruning.locking import locked_by
from netadapt.pruning.origin import Origin, remember
from netadapt.pruning.refusals import refuse_untraceable
from netadapt.pruning.sizes import OperationMap, Sizes
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
    ) -> None:
        self.model = model
        self.example: Any = example
        self.groups = groups
        self.locked = locked
        self.operations = operations
        self._slots = slots
        self._origin = origin
        self._approximate = approximate

    @property
    def example_input(self) -> Any:
        """What it was traced with, ``(N, C, H, W)`` for images; another name for ``example``."""
        return self.example

    @property
    def widths(self) -> dict[str, int]:
        """The channels of every group now."""
        return {name: group.width for name, group in self.groups.items()}

    @property
    def slots(self) -> Mapping[str, tuple[Slot, ...]]:
        """For each group, where the modules hold its channels."""
        return self._slots

    def vector(self, widths: Widths) -> NDArray[np.int64]:
        """Return ``widths`` as ``(G,)`` in the order of ``groups``; a missing group keeps its own.

        Raises:
            UserError: an unknown group, or a width below 1 or above what the network has.
        """
        return np.array(list(self._complete(widths).values()), dtype=np.int64)

    def pruned(self, widths: Widths, importance: Importance = "l2") -> nn.Module:
        """Return a new network with ``widths``; this one is not changed.

        Args:
            widths: ``{group: channels}``; a group left out keeps its channels.
            importance: which channels are removed first: ``l2`` (the smallest norm of the filters),
                ``share`` (the smallest share of the group's weights), ``taylor`` (needs
                gradients), or ``{group: (channels,) scores}`` (the lowest scores).

        Raises:
            UserError: unknown group or importance, or a width outside 1 to the group's own or
                between the group's steps.
        """
        complete = self._complete(widths)
        smaller = surgery.independent_copy(self.model)
        kept = self.kept_channels(complete, importance)
        surgery.cut(smaller, self._slots, kept)
        remember(smaller, self._origin, surgery.removed_channels(self._slots, kept))
        spec = getattr(smaller, "spec", None)
        if spec is not None:
            named = input_options(self.model, self.example) or spec.inputs
            smaller.spec = replace(spec, widths={**(spec.widths or {}), **complete}, inputs=named)
        return smaller

    def masked(self, widths: Widths, importance: Importance = "l2") -> nn.Module:
        """Return the full-size network that must answer as ``pruned(widths, importance)`` does.

        A norm over all channels of a pruned stream computes its statistics over those that stay.
        """
        whole = surgery.independent_copy(self.model)
        surgery.mask(whole, self._slots, self.kept_channels(self._complete(widths), importance))
        return whole

    def kept_channels(
        self, widths: Widths, importance: Importance = "l2"
    ) -> dict[str, NDArray[np.intp]]:
        """For each group that becomes narrower, the steps of its channels that stay, ascending."""
        kept = {}
        for name, width in widths.items():
            group = self.groups[name]
            if width == group.width:
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
        for name, group in self.groups.items():
            if name in found:
                groups[name], slots[name] = found[name].group, found[name].slots
            else:  # one step is left, of which nothing can go
                groups[name] = replace(group, width=widths.get(name, group.width))
        return PrunableModel(
            model,
            self.example,
            groups,
            slots,
            self.locked,
            self.operations,
            origin_names(model, couplings),
            self._approximate,
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
        return [shape for name, shape in shapes.items() if not is_training_only(self.model, name)]

    def parameter_count(self, widths: Widths | None = None) -> int:
        """Number of parameters of the deployed network with ``widths`` (default: its own)."""
        return sum(math.prod(shape) for shape in self.parameter_shapes(widths or {}))

    @cached_property
    def _plain(self) -> nn.Module:
        """The network with plain layers, on the meta device: only its shapes are needed."""
        return surgery.shapes_copy(self.model)

    def _complete(self, widths: Widths) -> dict[str, int]:
        for name, width in widths.items():
            if name not in self.groups:
                raise UserError(
                    f"unknown channel group {name!r}; the network has: {', '.join(self.groups)}"
                )
            full, step = self.groups[name].width, self.groups[name].step
            possible = isinstance(width, Real) and 1 <= width <= full and width == int(width)
            if not possible or int(width) % step:
                group = self.groups[name]
                raise UserError(f"group {name} cannot have {width!r} channels: {_possible(group)}")
        return {name: int(widths.get(name, group.width)) for name, group in self.groups.items()}


def trace(
    model: nn.Module,
    example_input: Example,
    lock: str | Sequence[str] = (),
    allow_approximate: bool = False,
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
    return PrunableModel(
        model,
        example_input,
        groups,
        slots,
        locked_layers(model, flow, locked, couplings),
        sizes.map(list(groups)),
        origin_names(model, couplings),
        allow_approximate,
    )


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
    for name, width in widths.items():
        if name not in known:
            raise UserError(f"unknown channel group {name!r}; the network has: {', '.join(known)}")
        group = known[name].group
        if not 1 <= width <= group.width or width % group.step:
            raise UserError(f"group {name} cannot have {width} channels: {_possible(group)}")
        if width < group.width:
            kept[name] = np.arange(width // group.step)
    slots = {name: known[name].slots for name in kept}
    surgery.cut(smaller, slots, kept)
    remember(smaller, origin_names(model, found), surgery.removed_channels(slots, kept))
    spec = getattr(smaller, "spec", None)
    if spec is not None:
        smaller.spec = replace(spec, widths=dict(widths))
    return smaller


def _possible(group: ChannelGroup) -> str:
    steps = "" if group.step == 1 else f" and goes in steps of {group.step}"
    return f"it has {group.width}{steps}"
