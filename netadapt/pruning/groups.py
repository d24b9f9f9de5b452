"""Which channels can only be pruned together, found by following them through the network."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from netadapt.errors import UserError
from netadapt.pruning.examples import Example, shapes
from netadapt.pruning.flow import ROOT_TYPES, Flow, follow_channels, is_training_only
from netadapt.pruning.labels import FIXED, MEET_FIXED
from netadapt.pruning.origin import Origin, base_names, origin_of
from netadapt.pruning.parameters import is_bare
from netadapt.pruning.surgery import Side, Slot, structural_copy

BYPASSED = "its weight is read without the layer being called"


@dataclass(frozen=True)
class ChannelGroup:
    """Channels of several layers that can only be pruned together.

    Attributes:
        name: the first of ``producers`` in the order of execution. If the group does not begin with
            that layer's first channel, ``:`` and the number of its channel follow. A pruned
            network keeps the names of the network it was pruned from.
        width: the channels it has now in the first producer.
        producers: names of the modules whose output channels it is.
        step: how many channels are removed at once; widths are multiples of it.
    """

    name: str
    width: int
    producers: tuple[str, ...]
    step: int = 1


@dataclass(frozen=True)
class Coupling:
    """A group with the places of its channels, whether it can be pruned or not.

    ``reason`` says why it cannot be pruned. ``sliced`` says whether the network slices it at a
    position that may be a fixed number.
    """

    group: ChannelGroup
    slots: tuple[Slot, ...]
    classes: NDArray[np.int64]
    reason: str | None
    sliced: bool


def traced_flow(model: nn.Module, example_input: Example, approximate: bool = False) -> Flow:
    """Follow the channels of ``model``; ``model`` itself is left as it was.

    Args:
        model: the network.
        example_input: what it is run on.
        approximate: whether channels that a norm standardises together may be removed one by one.

    Raises:
        UserError: it cannot be run on ``example_input``.
    """
    try:
        return follow_channels(structural_copy(model).eval(), example_input, approximate)
    except UserError:
        raise
    except Exception as error:
        message = str(error).strip().splitlines()
        raise UserError(
            f"cannot trace {type(model).__name__} with an input of shape "
            f"{shapes(example_input)}: {message[0] if message else type(error).__name__}"
        ) from error


def find_couplings(model: nn.Module, flow: Flow) -> list[Coupling]:
    """Return the couplings of ``model``, in the order of execution.

    Raises:
        UserError: there is none.
    """
    classes = flow.book.classes()
    layers = [name for name in flow.writes if not is_bare(name)]
    roots = [name for name in layers if isinstance(model.get_submodule(name), ROOT_TYPES)]
    if not roots:
        raise UserError(
            f"{type(model).__name__} has no convolution or linear layer that can be pruned"
        )
    reasons, notes = flow.book.reasons(classes), flow.book.notes(classes)
    sliced = {
        number for labels in flow.sliced for number in classes[labels.numpy()].ravel().tolist()
    }
    tied, origin = _tied(model), origin_of(model)
    base = base_names(origin)
    alike: dict[object, list[int]] = defaultdict(list)  # classes that lie in the same layers
    places = _places(flow, classes)
    for number, found in places.items():
        footprint = tuple((side, len(positions)) for side, positions in found.items())
        alike[footprint, number in reasons].append(number)
    couplings = []
    for numbers in alike.values():
        producers = tuple(
            name for name, side in places[numbers[0]] if side == "out" and name in roots
        )
        if not producers:  # a parameter whose channels no layer writes
            continue
        numbers.sort(key=lambda number: places[number][producers[0], "out"][0])
        slots = tuple(
            Slot(name, side, np.array([places[number][name, side] for number in numbers]))
            for name, side in places[numbers[0]]
        )
        positions = next(slot.indices for slot in slots if slot.module == producers[0])
        name, reason = _name(producers[0], positions, origin, base)
        group = ChannelGroup(name, positions.size, producers, positions.shape[1])
        reason = next((reasons[number] for number in numbers if number in reasons), reason)
        if reason == MEET_FIXED and len(numbers) == 1:
            reason = notes.get(numbers[0], reason)
        if reason is None and any(slot.module in tied for slot in slots):
            reason = next(tied[slot.module] for slot in slots if slot.module in tied)
        if reason is None and flow.deployed.isdisjoint(producers):
            reason = "it runs in training only"
        if reason is None and not any(slot.side == "in" for slot in slots):
            unread = "no layer reads its channels"
            reason = notes.get(numbers[0], unread) if len(numbers) == 1 else unread
        if reason is None and len(numbers) == 1:
            single = positions.size == 1
            alone = "it has a single channel" if single else "its channels can only go all together"
            reason = notes.get(numbers[0], alone)
        cut = not sliced.isdisjoint(numbers)
        couplings.append(Coupling(group, slots, np.array(numbers), reason, cut))
    rank = {name: place for place, name in enumerate(flow.writes)}
    return sorted(couplings, key=lambda coupling: rank[coupling.group.producers[0]])


def origin_names(model: nn.Module, couplings: Sequence[Coupling]) -> Origin:
    """Return the places of the channels of every group, by the names of the base network."""
    known = origin_of(model)
    if known:
        return known
    origin = {}
    for coupling in couplings:
        first = coupling.group.producers[0]
        slot = next(slot for slot in coupling.slots if slot.module == first)
        origin[coupling.group.name] = (first, tuple(np.sort(slot.indices.ravel()).tolist()))
    return origin


def locked_layers(
    model: nn.Module, flow: Flow, locked: Mapping[str, str], couplings: Sequence[Coupling]
) -> dict[str, str]:
    """Return ``{module name: reason}`` for the layers whose channels cannot be pruned.

    Args:
        model: the network.
        flow: where its channels come from and go to.
        locked: ``{group name: reason}``.
        couplings: all of them.
    """
    reasons: dict[str, dict[str, int]] = defaultdict(dict)
    direct = set(flow.book.locked_labels().tolist())
    for coupling in couplings:
        reason = locked.get(coupling.group.name)
        if reason is None:
            continue
        written = [
            slot
            for slot in coupling.slots
            if slot.side == "out" and slot.module in coupling.group.producers
        ]
        to_blame = [slot.module for slot in written if not direct.isdisjoint(_labels(flow, slot))]
        for slot in written:
            told = reason
            if to_blame and slot.module not in to_blame:
                told = f"it can only be pruned together with {to_blame[0]}: {reason}"
            found = reasons[slot.module]
            found[told] = found.get(told, 0) + slot.indices.size
    layers = {}
    for name, module in model.named_modules():
        if not isinstance(module, ROOT_TYPES) or is_training_only(model, name):
            continue
        if name not in flow.writes:
            unused = "it does not run on the example input"
            layers[name] = BYPASSED if name in flow.bypassed else unused
        elif bool((flow.writes[name] == FIXED).all()):
            layers[name] = "its channels are the network's input"
        for reason, count in reasons[name].items():
            width = len(flow.writes[name])
            part = "" if count == width else f"{count} of its {width} channels: "
            layers[name] = f"{layers[name]}; {part}{reason}" if name in layers else part + reason
    return layers


def _labels(flow: Flow, slot: Slot) -> list[int]:
    found: list[int] = flow.writes[slot.module][slot.indices.ravel()].tolist()
    return found


def _tied(model: nn.Module) -> dict[str, str]:
    """Return, for layers that share a parameter with others, why they cannot be cut."""
    holders: dict[int, list[str]] = defaultdict(list)
    kinds: dict[int, str] = {}
    for name, module in model.named_modules():
        for kind, parameter in module._parameters.items():
            if parameter is not None:
                holders[id(parameter)].append(name)
                kinds.setdefault(id(parameter), kind)
    tied: dict[str, str] = {}
    for key, names in holders.items():
        for name in names if len(set(names)) > 1 else ():
            tied.setdefault(name, f"{' and '.join(names)} share one {kinds[key]}")
    return tied


def _name(
    layer: str,
    positions: NDArray[np.intp],
    origin: Origin,
    base: Mapping[tuple[str, int], str],
) -> tuple[str, str | None]:
    """Return the name of the group at ``positions`` of ``layer``, and why it cannot be pruned."""
    first = int(positions.min())
    own = layer if first == 0 else f"{layer}:{first}"
    if not origin:
        return own, None
    names = {base.get((layer, position)) for position in positions.ravel().tolist()}
    name = next(iter(names))
    if len(names) == 1 and name is not None and len(origin[name][1]) == positions.size:
        return name, None
    while own in origin:
        own += "'"
    return own, "before it was pruned its channels were other groups"


def _places(flow: Flow, classes: NDArray[np.int64]) -> dict[int, dict[tuple[str, Side], list[int]]]:
    """For every class of channels, its positions in each layer."""
    places: dict[int, dict[tuple[str, Side], list[int]]] = defaultdict(lambda: defaultdict(list))
    tables: tuple[tuple[Side, dict[str, Tensor]], ...] = (("out", flow.writes), ("in", flow.reads))
    for side, table in tables:
        for name, labels in table.items():
            for position, number in enumerate(classes[labels.numpy()].tolist()):
                if number != classes[FIXED]:
                    places[number][name, side].append(position)
    return places
