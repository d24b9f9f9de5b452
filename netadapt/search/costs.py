"""What networks cost, as functions of the widths: latency, energy, MACs, parameters, memory."""

from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netadapt.latency.predictor import LatencyPredictor
from netadapt.pruning import OperationMap, PrunableModel, Widths
from netadapt.pruning.examples import tensors_in
from netadapt.pruning.operations import MULTIPLYING, multiply_accumulates
from netadapt.search.goal import Kind, Limits

FLOAT_BYTES = 4
Rows = NDArray[Any]  # (B, G) widths, columns in the order of ``prunable.widths``
Values = NDArray[np.float64]


class Costs:
    """Costs of every network that ``prunable`` can become; no network is built to ask."""

    def __init__(self, prunable: PrunableModel, predictor: LatencyPredictor) -> None:
        self.prunable = prunable
        self.predictor = predictor
        self._scale = 1.0
        self._energy_scale = 1.0
        self._counts: dict[OperationMap, Counts] = {}

    def anchor(self, widths: Widths, measured_ms: float, measured_mj: float | None = None) -> None:
        """From now on predict relative to this network: its latency and, if known, its energy."""
        self._scale = measured_ms / self.predictor(widths)
        if measured_mj and self.predictor.has_energy:
            predicted = self.predictor.energy_or_nan(self.prunable.vector(widths)[None])
            self._energy_scale = measured_mj / float(predicted[0])

    def predict_ms(self, widths: Widths) -> float:
        """Return the latency of one network. Raises ``UserError`` outside the table."""
        return self._scale * self.predictor(widths)

    def batch(self, kind: Kind, rows: Rows) -> Values:
        """Return ``(B,)`` costs of ``(B, G)`` widths; NaN ms outside what the table has measured.

        ``ms`` is the predicted latency and ``mj`` the predicted energy of a run in mJ, by the table
        and the anchor. ``macs`` and ``params`` are
        counts. ``mb`` is memory in 10^6 bytes with everything in fp32: all parameters, and the
        most that activations take at once. Operations run in the order of the trace, each into a
        tensor of its own (nothing is fused, nothing done in place); a tensor, the network's inputs
        included, lives from the operation that writes it to the last that reads it, and what no
        operation reads is an output, which stays.
        """
        if kind == "ms":
            return self._scale * self.predictor.batch_or_nan(rows)
        if kind == "mj":
            return self._energy_scale * self.predictor.energy_or_nan(rows)
        rows = np.asarray(rows)
        found = np.zeros(len(rows))
        for operations, places in self.prunable.operations.parts(rows):
            if operations not in self._counts:
                self._counts[operations] = Counts(self.prunable, operations, rows[places[0]])
            counts = self._counts[operations]
            found[places] = counts.of(kind, rows[places])
        return found

    def meet(self, rows: Rows, limits: Limits) -> NDArray[np.bool_]:
        """Return ``(B,)``: which widths are within all ``limits``; NaN never is."""
        within = np.ones(len(rows), dtype=bool)
        for kind, limit in limits.items():
            within &= self.batch(kind, rows) <= limit
        return within

    def load(self, rows: Rows, limits: Limits) -> Values:
        """Return ``(B,)`` largest costs as shares of their limits."""
        shares = [self.batch(kind, rows) / limit for kind, limit in limits.items()]
        largest: Values = np.max(shares, axis=0)
        return largest


class Counts:
    """What is counted of the networks that lack the same blocks, for ``(B, G)`` widths each.

    Args:
        prunable: the network.
        operations: those of what the blocks leave of it.
        row: any ``(G,)`` widths of a network without them.
    """

    def __init__(self, prunable: PrunableModel, operations: OperationMap, row: Rows) -> None:
        self._prunable = prunable
        self._operations = operations
        self._row = row

    def of(self, kind: Kind, rows: Rows) -> Values:
        """Return ``(B,)`` multiply-accumulates, parameters, or memory in 10^6 bytes."""
        if kind == "macs":
            return self._macs(rows)
        parameters = self._parameters.count(rows)
        if kind == "params":
            return parameters
        memory: Values = (self._peak_bytes(rows) + FLOAT_BYTES * parameters) / 1e6
        return memory

    def _macs(self, rows: Rows) -> Values:
        total = np.zeros(len(rows))
        operations = self._multiplying
        sizes = operations.sizes(rows)
        for operation, start in zip(operations.operations, operations.offsets(), strict=True):
            own = sizes[:, start : start + len(operation.sizes)]
            total += multiply_accumulates(operation, own)
        return total

    @cached_property
    def _parameters(self) -> "ParameterMap":
        dropped = [
            name
            for name, width in zip(self._prunable.widths, self._row.tolist(), strict=True)
            if not width
        ]
        return ParameterMap(self._prunable, dropped)

    @cached_property
    def _multiplying(self) -> OperationMap:
        return self._operations.only(MULTIPLYING)

    def _peak_bytes(self, rows: Rows) -> Values:
        operations = self._operations
        sizes = operations.sizes(rows).astype(np.float64)
        read = float(sum(tensor.numel() for tensor in tensors_in(self._prunable.example)))
        tensors = [np.full(len(rows), read)]  # then the output of each operation
        for operation, start in zip(operations.operations, operations.offsets(), strict=True):
            end = start + len(operation.sizes) - 1
            tensors.append(sizes[:, end - len(operation.output) : end].prod(axis=1))
        live = np.stack(tensors, axis=1) @ self._live.T
        peak: Values = FLOAT_BYTES * live.max(axis=1)
        return peak

    @cached_property
    def _live(self) -> NDArray[np.float64]:
        """``(operations, 1 + operations)``: which tensors live while an operation runs."""
        operations = self._operations.operations
        last = np.full(len(operations) + 1, len(operations))  # what nobody reads stays
        for place, operation in enumerate(operations):
            for source in operation.sources:
                last[source + 1] = place
        written = np.arange(len(operations) + 1) - 1
        places = np.arange(len(operations))[:, None]
        return ((written <= places) & (places <= last)).astype(np.float64)


class ParameterMap:
    """The number of parameters as a function of the widths, without the blocks ``dropped``.

    Every side of every parameter is linear in the widths; narrowing each group by a step tells by
    how much.
    """

    def __init__(self, prunable: PrunableModel, dropped: Sequence[str] = ()) -> None:
        without = dict.fromkeys(dropped, 0)
        full = prunable.parameter_shapes(without)
        base = np.array(_flat(full), dtype=np.float64)
        columns = []
        for name, group in prunable.groups.items():
            narrower = prunable.parameter_shapes({**without, name: group.width - group.step})
            columns.append((base - np.array(_flat(narrower))) / group.step)
        columns += [np.zeros(len(base))] * len(prunable.blocks)
        self._coefficient = np.stack(columns, axis=1)
        self._constant = base - self._coefficient @ prunable.vector({})
        self._lengths = [len(shape) for shape in full]

    def count(self, rows: Rows) -> Values:
        """Return ``(B,)`` counts of ``(B, G)`` widths."""
        sides = self._constant + np.asarray(rows, dtype=np.float64) @ self._coefficient.T
        total = np.zeros(len(rows))
        start = 0
        for length in self._lengths:
            total += sides[:, start : start + length].prod(axis=1)
            start += length
        return total


def _flat(shapes: Sequence[tuple[int, ...]]) -> list[int]:
    return [side for shape in shapes for side in shape]
