"""How many bytes a network reads in a run: whether its weights stay in a cache depends on it."""

from collections.abc import Iterable, Sequence
from math import prod

import numpy as np
from numpy.typing import NDArray

from netadapt.latency.workloads import Workload, coordinates

BYTES = {"float32": 4, "float16": 2, "bfloat16": 2, "int8": 1}
WEIGHTED = ("conv2d", "conv_transpose2d", "linear")


def megabytes(workload: Workload, channels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return ``(2, B)`` MB of weights and of inputs.

    Args:
        workload: any one of its family.
        channels: ``(K, B)`` coordinates within the family.
    """
    size = BYTES.get(workload.dtype, 4) / 1e6
    read, made = channels[0].astype(np.float64), channels[-1].astype(np.float64)
    weights = np.zeros_like(made)
    if workload.kind in WEIGHTED:
        per_group = read if len(channels) == 2 else workload.inputs[0][1]
        weights = made * per_group * prod(workload.kernel) / workload.groups
        if len(channels) == 1 and workload.groups > 1:  # the groups go with the channels
            weights = made * prod(workload.kernel)
    first, *others = workload.inputs
    inputs = read * (first[0] * prod(first[2:]))
    for other in others:
        inputs = inputs + made * (other[0] * prod(other[2:]))
    return np.stack([weights, inputs]) * size


def of_networks(networks: Iterable[Sequence[Workload]]) -> NDArray[np.float64]:
    """Return ``(2, N)``: the MB of weights and of inputs of each network."""
    totals = []
    for network in networks:
        parts = [megabytes(one, np.array(coordinates(one))[:, None])[:, 0] for one in network]
        totals.append(np.sum(parts, axis=0))
    return np.array(totals).T
