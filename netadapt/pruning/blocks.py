"""Blocks: parts of a network that can be left out whole, as they give back what they are given."""

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from netadapt.pruning.calls import Call
from netadapt.pruning.flow import Flow
from netadapt.pruning.groups import Coupling
from netadapt.pruning.labels import varying
from netadapt.pruning.locking import matches_path
from netadapt.pruning.operations import Operation

Tie = tuple[str, str]  # the groups that a block reads and writes
Ties = Mapping[str, Tie | None]


@dataclass(frozen=True)
class Block:
    """A module that can be dropped: then it hands on what it is given.

    Attributes:
        name: of the module.
        tie: the channel groups that it reads and writes, where these are two. Without the block
            they are one: they have the same width, and the n-th channel of the one that is left
            is the n-th of the other.
        dim: the dimension of these channels.
        call: where it is called.
    """

    name: str
    tie: Tie | None
    dim: int
    call: Call


class Dropped(nn.Module):
    """Stands where a block was and hands on what it is given.

    Attributes:
        tie: of the block.
    """

    def __init__(self, tie: Tie | None) -> None:
        super().__init__()
        self.tie = tie

    def forward(self, given: Tensor, *_: Any, **__: Any) -> Tensor:
        """Return ``given``."""
        return given


class Bypassed(nn.Module):
    """A block that runs and is not listened to, in a network whose channels are masked."""

    def __init__(
        self, block: nn.Module, dim: int, channels: tuple[NDArray[np.intp], NDArray[np.intp]] | None
    ) -> None:
        super().__init__()
        self.block = block
        self._dim = dim
        self._channels = channels

    def forward(self, given: Tensor, *others: Any, **named: Any) -> Tensor:
        """Return what was given: the channels that stay of it, where those behind it stay."""
        answer: Tensor = self.block(given.clone(), *others, **named)
        if self._channels is None:
            return given.clone()
        read, written = (torch.from_numpy(places).to(given.device) for places in self._channels)
        stays = given.index_select(self._dim, read)
        return torch.zeros_like(answer).index_copy(self._dim, written, stays)


def possible_blocks(flow: Flow, couplings: Sequence[Coupling]) -> dict[str, Block]:
    """Return every module that could be left out: its channels go on as those it reads."""
    classes = flow.book.classes()
    found = {}
    for name, call in flow.calls.items():
        holds_layers = any(_within(layer, name) for layer in flow.reads)
        if not holds_layers or not _stands_alone(call, flow.operations):
            continue
        tied = _tied(call, classes, couplings)
        if tied is not None:
            found[name] = Block(name, *tied, call)
    return found


def chosen_blocks(
    flow: Flow, couplings: Sequence[Coupling], groups: Container[str], lock: str | Sequence[str]
) -> dict[str, Block]:
    """Return the modules to offer: the innermost that add to what they read, then other ones.

    Those inside a residual one, and those around a chosen one, are left out; so are those that
    only one side of can be pruned.

    Args:
        flow: of the network's channels.
        couplings: all of them.
        groups: the names of those that can be pruned.
        lock: patterns of layers, groups and blocks to leave as they are.
    """
    possible = possible_blocks(flow, couplings)
    residual = _innermost(
        [name for name in possible if _adds_to_its_input(possible[name].call, flow)]
    )
    apart = [name for name in possible if not any(_overlap(name, other) for other in residual)]
    chosen = {*residual, *_innermost(_outermost_of_the_same_layers(apart, flow))}
    return {
        name: block
        for name, block in possible.items()
        if name in chosen
        and not any(matches_path(layer, lock) for layer in flow.writes if _within(layer, name))
        and (block.tie is None or len({group in groups for group in block.tie}) == 1)
    }


def drop(model: nn.Module, blocks: Sequence[Block]) -> None:
    """Leave out ``blocks``, in place."""
    for block in blocks:
        model.set_submodule(block.name, Dropped(block.tie))


def dropped_in(model: nn.Module) -> dict[str, Tie | None]:
    """Return the blocks that are missing in ``model``, each with its tie."""
    return {name: one.tie for name, one in model.named_modules() if isinstance(one, Dropped)}


def same_blocks(model: nn.Module, other: nn.Module) -> bool:
    """Whether the same blocks are missing in two networks, so that one graph serves both."""
    return dropped_in(model).keys() == dropped_in(other).keys()


def tied_rows(rows: NDArray[np.int64], columns: Sequence[str], ties: Ties) -> NDArray[np.int64]:
    """Return ``(B, G)`` widths in which both sides of a dropped block are as wide as the narrower.

    Args:
        rows: widths of groups, and of blocks 1 or 0.
        columns: the names of their columns.
        ties: of the blocks.
    """
    rows = np.array(rows)
    place = {name: column for column, name in enumerate(columns)}
    pairs = [(place[name], place[tie[0]], place[tie[1]]) for name, tie in ties.items() if tie]
    for _ in pairs:  # a row of dropped blocks hands a width on
        for block, read, written in pairs:
            narrower = rows[:, [read, written]].min(axis=1)
            gone = rows[:, block] == 0
            rows[gone, read] = rows[gone, written] = narrower[gone]
    return rows


def _within(name: str, other: str) -> bool:
    return name.startswith(f"{other}.")


def _overlap(name: str, other: str) -> bool:
    return name == other or _within(name, other) or _within(other, name)


def _outermost_of_the_same_layers(names: Sequence[str], flow: Flow) -> list[str]:
    """Of nested modules that hold the same mixing layers, keep the outermost."""
    found: dict[tuple[str, ...], str] = {}
    for name in sorted(names, key=len, reverse=True):
        found[tuple(layer for layer in flow.reads if _within(layer, name))] = name
    return list(found.values())


def _innermost(names: Sequence[str]) -> list[str]:
    return [name for name in names if not any(_within(other, name) for other in names)]


def _stands_alone(call: Call, operations: Sequence[Operation]) -> bool:
    """Whether what runs inside reads only what the block is given, and only its result is read."""
    inside = range(call.first, call.last)
    if call.result not in inside:
        return False
    for place, operation in enumerate(operations):
        for source in operation.sources:
            within, made_within = place in inside, source in inside
            if within and not made_within and source != call.source:
                return False
            if made_within and not within and source != call.result:
                return False
    return True


def _adds_to_its_input(call: Call, flow: Flow) -> bool:
    return any(
        operation.kind == "add" and len(operation.sources) == 2 and call.source in operation.sources
        for operation in flow.operations[call.first : call.last]
    )


def _tied(
    call: Call, classes: NDArray[np.int64], couplings: Sequence[Coupling]
) -> tuple[Tie | None, int] | None:
    """Return the tie of a block and the dimension of its channels; None if it has neither."""
    read, written = classes[call.read.numpy()], classes[call.written.numpy()]
    dims = varying(call.read)
    if read.shape == written.shape and (read == written).all():
        return None, dims[0] if len(dims) == 1 else 1
    if len(dims) != 1 or varying(call.written) != dims:
        return None
    sides = [
        next((c.group for c in couplings if _holds(c, side.ravel())), None)
        for side in (read, written)
    ]
    if sides[0] is None or sides[1] is None:
        return None
    return (sides[0].name, sides[1].name), dims[0]


def _holds(coupling: Coupling, numbers: NDArray[np.int64]) -> bool:
    """Whether ``numbers`` are the classes of all of its channels, in order."""
    return coupling.group.step == 1 and np.array_equal(coupling.classes, numbers)
