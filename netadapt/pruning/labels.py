"""Labels: which positions of which tensors hold the same channel."""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

FIXED = 0  # the label of what belongs to no channel that a layer writes: inputs, constants

MEET_FIXED = "its channels meet channels that cannot be pruned"
UNWRITTEN = -1  # numbers that the forward pass made and no channel is written to, such as a border


class LabelBook:
    """Makes labels, and knows which can only be removed together and which must stay."""

    def __init__(self) -> None:
        self._count = 1
        self._joined: list[NDArray[np.int64]] = []
        self._locked: list[tuple[NDArray[np.int64], str]] = []
        self._notes: list[tuple[NDArray[np.int64], str]] = []

    def new(self, count: int) -> Tensor:
        """Return ``(count,)`` new labels."""
        self._count += count
        return torch.arange(self._count - count, self._count)

    def join(self, one: Tensor, other: Tensor, why: str = "") -> None:
        """Note that labels that meet can only be removed together; those at ``FIXED`` stay."""
        ones, others = one + torch.zeros_like(other), other + torch.zeros_like(one)
        pairs = torch.stack([ones.flatten(), others.flatten()])
        pairs = pairs[:, pairs[0] != pairs[1]]
        if not pairs.shape[1]:
            return
        pairs = torch.unique(pairs, dim=1)
        fixed = (pairs == FIXED).any(0)
        if fixed.any():
            self.lock(pairs[:, fixed], why or MEET_FIXED)
        self._joined.append(pairs[:, ~fixed].numpy())
        if why:
            self._notes.append((pairs[0].numpy(), why))

    def lock(self, labels: Tensor, reason: str) -> None:
        """Keep the channels of ``labels``, whatever else is pruned."""
        kept = torch.unique(labels)
        self._locked.append((kept[kept != FIXED].numpy(), reason))

    def classes(self) -> NDArray[np.int64]:
        """Return ``(labels,)``: equal numbers are removed together; that of ``FIXED`` is 0."""
        edges = np.concatenate([np.zeros((2, 0), dtype=np.int64), *self._joined], axis=1)
        graph = coo_array((np.ones(edges.shape[1]), edges), shape=(self._count, self._count))
        _, classes = connected_components(graph, directed=False)
        found: NDArray[np.int64] = classes.astype(np.int64)
        return found

    def locked_labels(self) -> NDArray[np.int64]:
        """Return the labels that were locked themselves, not through others they are joined to."""
        return np.concatenate([np.zeros(0, dtype=np.int64), *(found for found, _ in self._locked)])

    def reasons(self, classes: NDArray[np.int64]) -> dict[int, str]:
        """Return for each class that must stay the first reason given."""
        return _first_reasons(self._locked, classes)

    def notes(self, classes: NDArray[np.int64]) -> dict[int, str]:
        """Return for each class why its labels were joined, if a reason was given."""
        return _first_reasons(self._notes, classes)


def _first_reasons(
    given: Sequence[tuple[NDArray[np.int64], str]], classes: NDArray[np.int64]
) -> dict[int, str]:
    found: dict[int, str] = {}
    for labels, reason in given:
        for number in np.unique(classes[labels]).tolist():
            found.setdefault(number, reason)
    return found


def compressed(labels: Tensor) -> Tensor:
    """Return ``labels`` with size 1 where they do not vary; they broadcast to the given ones."""
    for dim in range(labels.dim()):
        if labels.shape[dim] > 1:
            first = labels.narrow(dim, 0, 1)
            if labels.stride(dim) == 0 or bool((labels == first).all()):
                labels = first
    return labels


def without_unwritten(labels: Tensor) -> Tensor:
    """Give unwritten numbers the labels beside them, if all vary along one dimension."""
    empty = labels == UNWRITTEN
    if not bool(empty.any()):
        return labels
    for dim in range(labels.dim()):
        others = [other for other in range(labels.dim()) if other != dim]
        along = labels.amax(others, keepdim=True) if others else labels
        if bool((along != UNWRITTEN).all()) and bool((empty | (labels == along)).all()):
            return along.expand(labels.shape)
    return labels.masked_fill(empty, FIXED)


def varying(labels: Tensor) -> list[int]:
    """Return the dimensions along which compressed ``labels`` vary."""
    return [dim for dim, size in enumerate(labels.shape) if size > 1]


def fixed(tensor: Tensor) -> Tensor:
    """Return the labels of a tensor that holds no layer's channels."""
    return torch.full([1] * tensor.dim(), FIXED)


def along(labels: Tensor, dim: int, tensor: Tensor) -> Tensor:
    """Return ``(channels,)`` labels as those of ``tensor``, which vary along ``dim`` alone."""
    shape = [1] * tensor.dim()
    shape[dim] = len(labels)
    return labels.reshape(shape)


def aligned(labels: Tensor, dims: int) -> Tensor:
    """Return ``labels`` with as many dimensions as the tensor they are broadcast with."""
    return labels.reshape([1] * (dims - labels.dim()) + list(labels.shape))


def aligned_shape(tensor: Tensor, dims: int) -> list[int]:
    """Return the shape of ``tensor`` with as many dimensions as the tensor it is broadcast with."""
    return [1] * (dims - tensor.dim()) + list(tensor.shape)
