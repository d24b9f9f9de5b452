"""Which results of a forward pass an int8 file rounds: the rules of ``quantise.py`` in PyTorch."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

# the dimension of a weight's output channels
WEIGHTED = {
    "conv1d": 0, "conv2d": 0, "conv3d": 0, "linear": 0, "addmm": 0,
    "conv_transpose1d": 1, "conv_transpose2d": 1,
}  # fmt: skip
ROUNDED = {  # rounded before and after
    *WEIGHTED, "add", "add_", "mul", "mul_", "cat", "concat", "concatenate", "sigmoid", "sigmoid_",
    "leaky_relu", "leaky_relu_", "softmax", "matmul", "bmm",
}  # fmt: skip
# what is left out where what it reads is rounded: the rounding cuts off as it does
CUTTING = {"relu", "relu_", "relu6", "hardtanh", "hardtanh_", "clamp", "clamp_"}
FOLDED = {"batch_norm"}
# keep the ranges of what they read
KEEPING = {
    "max_pool2d", "avg_pool2d", "interpolate", "reshape", "view", "flatten", "transpose", "permute",
    "squeeze", "unsqueeze", "pad", "__getitem__", "chunk", "split", "contiguous", "dropout",
}  # fmt: skip
REPEATING = KEEPING - {"avg_pool2d", "interpolate"}  # give values that are rounded already


@dataclass
class Node:
    """One function of a forward pass that computes tensors.

    Attributes:
        kind: its name.
        sources: the nodes whose results it reads; 0 is the network's input.
        lowest: of its result, over all frames.
        highest: likewise.
    """

    kind: str
    sources: tuple[int, ...]
    lowest: float = 0.0  # 0 is in every range
    highest: float = 0.0

    def observe(self, result: Tensor) -> None:
        """Widen the range by ``result``."""
        low, high = torch.aminmax(result.detach())
        self.lowest, self.highest = min(self.lowest, float(low)), max(self.highest, float(high))


def float_nodes(nodes: list[Node], results: tuple[int, ...]) -> set[int]:
    """The last nodes with weights, and what follows them: as ``quantise.float_nodes`` has them."""
    found: set[int] = set()
    waiting = list(results)
    while waiting:
        place = waiting.pop()
        if place in found or place == 0:
            continue
        found.add(place)
        if nodes[place].kind not in WEIGHTED:
            waiting.extend(nodes[place].sources)
    return found


@dataclass
class _Plan:
    """Which results are rounded, and by the range of which node."""

    nodes: list[Node]
    readers: dict[int, list[int]]
    by: dict[int, int] = field(default_factory=dict)

    def round(self, place: int) -> None:
        """Round the result of a node, or what of it is read in the file."""
        end = self.end(place)
        self.by.setdefault(end, end)

    def end(self, place: int) -> int:
        """The node whose result stands in the file where that of ``place`` would."""
        while len(readers := self.readers.get(place, [])) == 1:
            kind = self.nodes[readers[0]].kind
            folded = kind in FOLDED and self.nodes[place].kind in WEIGHTED
            if not folded and kind not in CUTTING:
                break
            place = readers[0]
        return place


def rounded_nodes(nodes: list[Node], results: tuple[int, ...]) -> dict[int, int]:
    """For each node that is rounded, the node whose range it has."""
    readers: dict[int, list[int]] = {}
    for place, node in enumerate(nodes):
        for source in set(node.sources):
            readers.setdefault(source, []).append(place)
    kept = float_nodes(nodes, results)
    plan = _Plan(nodes, readers)
    for place, node in enumerate(nodes):
        if place in kept:
            continue
        if node.kind in ROUNDED:
            for source in node.sources:
                plan.round(source)
            plan.round(place)
        elif node.kind in KEEPING and node.sources and node.sources[0] in plan.by:
            plan.by[place] = plan.by[node.sources[0]]
    return {p: at for p, at in plan.by.items() if at == p or nodes[p].kind not in REPEATING}
