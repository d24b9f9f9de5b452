"""Networks lowered for ExecuTorch, and the order in which their operations then run."""

import copy
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from netadapt.deployment.executorch import lowered
from netadapt.latency.fusion import FUSIONS
from netadapt.latency.workloads import fuse
from netadapt.profiling.traced import TracedNetwork
from netadapt.pruning import Operation
from netadapt.pruning.operations import ACTIVATIONS, KINDS

FUSION = FUSIONS["executorch"]
# operations that XNNPACK runs as one, but a trace records as several
EDGE_KINDS = {
    "linear": "linear", "add": "add", "sub": "sub", "mul": "mul", "div": "div",
    "max_pool2d": "pool",
}  # fmt: skip


@dataclass(frozen=True)
class Program:
    """A lowered network.

    Attributes:
        data: the ``.pte`` file.
        order: the places of the traced operations, in the order of execution.
    """

    data: bytes
    order: tuple[int, ...]


def lower(network: TracedNetwork, precision: str = "fp32") -> Program:
    """Lower ``network`` for XNNPACK, in fp32 or int8.

    Int8 ranges come from the example input: the time does not depend on them.

    Raises:
        UserError: it cannot be exported.
    """
    folded = folded_batch_norms(network.model, network.operations)
    frames = [network.example_input] if precision == "int8" else None
    edge = lowered(folded, network.example_input, frames)
    order = _execution_order(edge.exported_program().graph_module, network.operations)
    return Program(bytes(edge.to_executorch().buffer), order)


def folded_batch_norms(model: nn.Module, operations: Sequence[Operation]) -> nn.Module:
    """Return a copy whose batch norms are folded into the convolutions before them.

    ExecuTorch does the same, but takes twice as long to lower the longer graph.
    """
    folded = copy.deepcopy(model).eval().requires_grad_(False)
    calls = Counter(operation.module for operation in operations)
    for unit in fuse(operations, FUSION):
        after = operations[unit.members[min(1, len(unit.members) - 1)]]
        names = operations[unit.main].module, after.module
        if after.kind != "batch_norm" or any(calls[name] > 1 for name in names):
            continue
        convolution, norm = (folded.get_submodule(name) for name in names)
        if type(convolution) is nn.Conv2d and type(norm) is nn.BatchNorm2d:
            folded.set_submodule(names[0], fuse_conv_bn_eval(convolution, norm))
            folded.set_submodule(names[1], nn.Identity())
    return folded


def _execution_order(lowered: Any, operations: Sequence[Operation]) -> tuple[int, ...]:
    """Return the places of ``operations`` in the order in which ``lowered`` executes them.

    Independent branches may change places when the graph is split into delegates. Nodes keep their
    number from the exported graph, whose order is that of the trace.
    """
    executed = [
        (node.meta["debug_handle"], kind)
        for node in _nodes(lowered)
        if (kind := _kind(node.target)) and isinstance(node.meta.get("debug_handle"), int)
    ]
    handles: dict[str, list[int]] = defaultdict(list)
    for handle, kind in sorted(set(executed)):
        handles[kind].append(handle)
    places: dict[str, list[int]] = defaultdict(list)
    for place, operation in enumerate(operations):
        places[operation.kind].append(place)
    rank = {handle: rank for rank, (handle, _) in enumerate(executed)}
    ranks = dict.fromkeys(range(len(operations)), -1)
    for kind, found in handles.items():
        if len(found) == len(places[kind]):  # else some were split: keep the order of the trace
            ranks.update(zip(places[kind], (rank[handle] for handle in found), strict=True))
    return tuple(sorted(ranks, key=lambda place: (ranks[place], place)))


def _nodes(lowered: Any) -> Iterator[Any]:
    for node in lowered.graph.nodes:
        if node.op != "call_function":
            continue
        if node.target is torch.ops.higher_order.executorch_call_delegate:
            yield from _nodes(getattr(lowered, node.args[0].target).original_module.graph_module)
        else:
            yield node


def _kind(target: Any) -> str:
    """The kind of operation that a node's target carries out; empty if unknown."""
    name = getattr(target, "__name__", "").removeprefix("aten.").split(".")[0]
    if name in ACTIVATIONS:
        return "activation"
    return {**KINDS, **EDGE_KINDS}.get(name, "")
