"""A traced network: its channel groups, and the smaller networks it can become."""

import copy
from collections.abc import Mapping, Sequence
from dataclasses import replace
from numbers import Real

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from netadapt.errors import UserError
from netadapt.pruning import surgery
from netadapt.pruning.groups import ROOT_TYPES, ChannelGroup, Coupling, find_couplings
from netadapt.pruning.importance import Importance, channel_importance
from netadapt.pruning.operations import Operation, OperationMap, linear_map, record_operations
from netadapt.pruning.surgery import Slot

Widths = Mapping[str, int]
TOLERANCE = 1e-9  # relative, in float64


class PrunableModel:
    """A network, traced once; everything after is a function of widths.

    Attributes:
        model: the network as given; never changed.
        example_input: the input it was traced with, ``(N, C, H, W)``.
        groups: ``{name: ChannelGroup}``, in the order of execution.
        locked: ``{module name: reason}`` for producers whose channels cannot be pruned.
        operations: the linear map from widths to the sizes of all operations.
    """

    def __init__(
        self,
        model: nn.Module,
        example_input: Tensor,
        groups: dict[str, ChannelGroup],
        slots: dict[str, tuple[Slot, ...]],
        locked: dict[str, str],
        operations: OperationMap,
    ) -> None:
        self.model = model
        self.example_input = example_input
        self.groups = groups
        self.locked = locked
        self.operations = operations
        self._slots = slots

    @property
    def widths(self) -> dict[str, int]:
        """The channels of every group now."""
        return {name: group.width for name, group in self.groups.items()}

    def vector(self, widths: Widths) -> NDArray[np.int64]:
        """Return ``widths`` as ``(G,)`` in the order of ``groups``; a missing group keeps its own.

        Raises:
            UserError: an unknown group, or a width below 1 or above what the network has.
        """
        return np.array(list(self._complete(widths).values()), dtype=np.int64)

    def pruned(self, widths: Widths, importance: Importance = "l2") -> nn.Module:
        """Return a new network with ``widths``; this one is untouched.

        Args:
            widths: ``{group: channels}``; a group left out keeps its channels.
            importance: ``l2`` (channels of the smallest norm over the whole group go first),
                ``taylor`` (needs gradients), or ``{group: (channels,) scores}``.

        Raises:
            UserError: unknown group or importance, or a width outside 1 to the group's own.
        """
        complete = self._complete(widths)
        smaller = copy.deepcopy(self.model)
        for parameter in smaller.parameters():
            parameter.grad = None
        surgery.cut(smaller, self._slots, self.kept_channels(complete, importance))
        spec = getattr(smaller, "spec", None)
        if spec is not None:
            smaller.spec = replace(spec, widths={**(spec.widths or {}), **complete})
        return smaller

    def masked(self, widths: Widths, importance: Importance = "l2") -> nn.Module:
        """Return the full-size network that must answer as ``pruned(widths, importance)`` does."""
        kept = self.kept_channels(self._complete(widths), importance)
        return surgery.masked(self.model, self._slots, kept)

    def kept_channels(
        self, widths: Widths, importance: Importance = "l2"
    ) -> dict[str, NDArray[np.intp]]:
        """For each group that shrinks, the channels that stay, ascending."""
        kept = {}
        for name, width in widths.items():
            if width == self.groups[name].width:
                continue
            scores = channel_importance(
                self.model, name, self._slots[name], self.groups[name].width, importance
            )
            order = np.argsort(scores, kind="stable")
            kept[name] = np.sort(order[len(scores) - width :])
        return kept

    def descend(self, model: nn.Module) -> "PrunableModel":
        """Return the same for ``model``, pruned from this network: no second trace is needed."""
        groups, slots = dict(self.groups), dict(self._slots)
        couplings = find_couplings(model, self.example_input)
        for producers, coupling in _in_order(couplings, self.operations.operations):
            if producers[0] in groups:
                groups[producers[0]] = ChannelGroup(producers[0], coupling.width, producers)
                slots[producers[0]] = coupling.slots
        return PrunableModel(model, self.example_input, groups, slots, self.locked, self.operations)

    def _complete(self, widths: Widths) -> dict[str, int]:
        for name, width in widths.items():
            if name not in self.groups:
                raise UserError(
                    f"unknown channel group {name!r}; the network has: {', '.join(self.groups)}"
                )
            full = self.groups[name].width
            possible = isinstance(width, Real) and 1 <= width <= full and width == int(width)
            if not possible:
                raise UserError(f"group {name} cannot have {width!r} channels: it has {full}")
        return {name: int(widths.get(name, group.width)) for name, group in self.groups.items()}


def trace(model: nn.Module, example_input: Tensor) -> PrunableModel:
    """Trace ``model`` and return what can be pruned of it.

    Args:
        model: any network; it is not changed, and keeps its training mode.
        example_input: one input, ``(N, C, H, W)``.

    Raises:
        UserError: the network cannot be run on the input, or cutting channels out of it
            does not give what masking them gives.
    """
    found = find_couplings(model, example_input)
    working = surgery.structural_copy(model).eval()
    full, output = record_operations(working, example_input)
    groups: dict[str, ChannelGroup] = {}
    slots: dict[str, tuple[Slot, ...]] = {}
    locked: dict[str, str] = {}
    narrowed = {}
    couplings = _in_order(found, full)
    for producers, coupling in couplings:
        name = producers[0]
        reason = coupling.reason
        if reason is None and not any(slot.side == "in" for slot in coupling.slots):
            reason = "its channels are the network's output"
        if reason is None and coupling.width == 1:
            reason = "it has a single channel"
        if reason is None:
            width = coupling.width // 2
            kept = {name: np.arange(width)}
            try:
                with surgery.temporarily_cut(working, {name: coupling.slots}, kept):
                    operations, shapes = record_operations(working, example_input)
            except IndexError:  # Torch-Pruning counted channels that a layer does not have
                reason = "its channels cannot be followed through the network"
            except (RuntimeError, ValueError, AssertionError) as error:
                reason = f"the network does not run without half of it: {_first_line(error)}"
            else:
                if shapes != output:
                    reason = "its channels are the network's output"
        if reason is not None:
            locked.update(dict.fromkeys(producers, reason))
            continue
        groups[name] = ChannelGroup(name, coupling.width, producers)
        slots[name] = coupling.slots
        narrowed[name] = (width, operations)
    seen = {name for producers, _ in couplings for name in producers}
    for name, module in model.named_modules():
        if isinstance(module, ROOT_TYPES) and name not in seen:
            locked[name] = "autograd does not see it run on the example input"
    widths = {name: group.width for name, group in groups.items()}
    traced = PrunableModel(
        model, example_input, groups, slots, locked, linear_map(full, narrowed, widths)
    )
    _check(traced)
    return traced


def reshaped(model: nn.Module, example_input: Tensor, widths: Widths) -> nn.Module:
    """Return ``model`` with ``widths``, whichever channels: what a checkpoint's weights fit into.

    Raises:
        UserError: the network has no such group, or not so many channels.
    """
    smaller = copy.deepcopy(model)
    found = find_couplings(model, example_input)
    full, _ = record_operations(surgery.structural_copy(model).eval(), example_input)
    couplings = _in_order(found, full)
    known = {producers[0]: coupling for producers, coupling in couplings}
    for name, width in widths.items():
        if name not in known:
            raise UserError(f"unknown channel group {name!r}; the network has: {', '.join(known)}")
        if not 1 <= width <= known[name].width:
            raise UserError(
                f"group {name} cannot have {width} channels: it has {known[name].width}"
            )
    slots = {name: known[name].slots for name in widths}
    kept = {name: np.arange(width) for name, width in widths.items() if width < known[name].width}
    surgery.cut(smaller, slots, kept)
    spec = getattr(smaller, "spec", None)
    if spec is not None:
        smaller.spec = replace(spec, widths=dict(widths))
    return smaller


def _in_order(
    couplings: Sequence[Coupling], operations: Sequence[Operation]
) -> list[tuple[tuple[str, ...], Coupling]]:
    """Return (producers, coupling) in the order of execution; the first producer is the name."""
    order = {op.module: place for place, op in reversed(list(enumerate(operations)))}

    def first_run(name: str) -> int:
        return order.get(name, len(order))

    named = [(tuple(sorted(c.producers, key=first_run)), c) for c in couplings]
    return sorted(named, key=lambda pair: first_run(pair[0][0]))


def _check(traced: PrunableModel) -> None:
    """Cut a third of every group and hold the result against the masked original, in float64."""
    if not traced.groups:
        return
    random = torch.Generator().manual_seed(0)
    exact = copy.copy(traced)
    exact.model = copy.deepcopy(traced.model).double().eval()
    given = torch.rand(traced.example_input.shape, generator=random, dtype=torch.float64)
    given = given.to(traced.example_input.device)
    widths = {name: max(1, group.width * 2 // 3) for name, group in traced.groups.items()}
    if _disagreement(exact, widths, given) <= TOLERANCE:
        _check_sizes(traced, exact, widths)
        return
    for name, width in widths.items():
        difference = _disagreement(exact, {name: width}, given)
        if difference > TOLERANCE:
            raise UserError(
                f"cannot prune {type(traced.model).__name__}: cutting channels of group {name} "
                f"changes the output by {difference:.1e} more than masking them"
            )
    raise UserError(
        f"cannot prune {type(traced.model).__name__}: its groups cannot be cut together"
    )


def _disagreement(traced: PrunableModel, widths: Widths, given: Tensor) -> float:
    with torch.no_grad():
        wanted = _flat(traced.masked(widths)(given))
        got = _flat(traced.pruned(widths)(given))
    if wanted.shape != got.shape:
        return float("inf")
    scale = max(float(wanted.abs().max()), 1e-12)
    return float((wanted - got).abs().max()) / scale


def _check_sizes(traced: PrunableModel, exact: PrunableModel, widths: Widths) -> None:
    recorded, _ = record_operations(exact.pruned(widths), traced.example_input.double())
    predicted = traced.operations.at(traced.vector(widths))
    for operation, truth in zip(predicted, recorded, strict=True):
        if operation.sizes != truth.sizes:
            raise UserError(
                f"cannot predict {operation.kind} of {operation.module}: its sizes are not "
                "linear in the widths"
            )


def _flat(output: object) -> Tensor:
    if isinstance(output, Tensor):
        return output.flatten()
    if isinstance(output, dict):
        output = list(output.values())
    assert isinstance(output, list | tuple)
    return torch.cat([_flat(part) for part in output])


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
