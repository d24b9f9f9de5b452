"""Which channels can only be pruned together, read from Torch-Pruning's DependencyGraph."""

import copy
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch_pruning
from torch import Tensor, nn

from netadapt.errors import UserError
from netadapt.pruning.surgery import Side, Slot, refusal

ROOT_TYPES = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.ConvTranspose2d, nn.Linear)


@dataclass(frozen=True)
class ChannelGroup:
    """Channels of several layers that can only be pruned together.

    Attributes:
        name: the first of ``producers`` in the order of execution.
        width: the channels it has now.
        producers: names of the modules whose output channels it is.
    """

    name: str
    width: int
    producers: tuple[str, ...]


@dataclass(frozen=True)
class Coupling:
    """The channels of one group, everywhere they appear; ``reason`` is why it cannot be pruned."""

    width: int
    slots: tuple[Slot, ...]
    producers: tuple[str, ...]
    reason: str | None


def find_couplings(model: nn.Module, example_input: Tensor) -> list[Coupling]:
    """Trace ``model`` once and return its couplings; ``model`` itself is left as it was.

    Raises:
        UserError: the forward pass fails, or autograd sees nothing of it.
    """
    model = copy.deepcopy(model).eval()
    for parameter in model.parameters():  # the graph is read from autograd: frozen ones are unseen
        parameter.requires_grad_(True)
    try:
        with torch.enable_grad():
            graph = torch_pruning.DependencyGraph().build_dependency(
                model, example_inputs=example_input, verbose=False
            )
    except Exception as error:
        message = str(error).strip().splitlines()
        raise UserError(
            f"cannot trace {type(model).__name__} with an input of shape "
            f"{tuple(example_input.shape)}: {message[0] if message else type(error).__name__}"
        ) from error
    names = {module: name for name, module in model.named_modules()}
    groups = list(graph.get_all_groups(root_module_types=list(ROOT_TYPES)))
    if not groups:
        raise UserError(
            f"{type(model).__name__} has no convolution or linear layer that can be pruned"
        )
    return [_coupling(graph, group, names) for group in groups]


def _coupling(graph: Any, group: Any, names: dict[nn.Module, str]) -> Coupling:
    positions: dict[tuple[str, Side], dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    reasons: list[str] = []
    producers: list[str] = []
    for item in group.items:
        module = item.dep.target.module
        if isinstance(module, nn.Parameter):
            reasons.append(f"a bare parameter ({item.dep.target.name}) carries its channels")
            continue
        if module not in names:  # Torch-Pruning's own nodes: element-wise, concat, split, reshape
            continue
        name = names[module]
        side: Side = "out" if graph.is_out_channel_pruning_fn(item.dep.handler) else "in"
        reason = refusal(module)
        if reason is not None:
            reasons.append(f"{name} {reason}")
        if side == "out" and isinstance(module, ROOT_TYPES) and name not in producers:
            producers.append(name)
        slot = positions[name, side]
        for root, index in zip(item.root_idxs, item.idxs, strict=True):
            if index not in slot[root]:
                slot[root].append(index)
    width = 1 + max(root for slot in positions.values() for root in slot)
    slots = []
    for (name, side), slot in positions.items():
        counts = {len(slot[root]) for root in range(width)}
        if len(counts) != 1:
            reasons.append(f"its channels reach {name} unevenly")
            continue
        indices = np.array([sorted(slot[root]) for root in range(width)], dtype=np.intp)
        slots.append(Slot(name, side, indices))
    return Coupling(width, tuple(slots), tuple(producers), reasons[0] if reasons else None)
