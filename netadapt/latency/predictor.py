"""Predicted latency: widths -> milliseconds, by table look-ups alone."""

from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import NoReturn

import numpy as np
from numpy.typing import ArrayLike, NDArray

from netadapt.errors import UserError
from netadapt.latency.calibration import NetworkSums, calibrated_ms, subject_in_words
from netadapt.latency.surfaces import Surfaces
from netadapt.latency.table import LatencyTable
from netadapt.latency.workload_sum import WorkloadSum
from netadapt.latency.workloads import block_kind, workload_map
from netadapt.pruning import OperationMap, PrunableModel, Widths
from netadapt.pruning.examples import described, input_options

CHUNK = 2048  # rows at a time, so that what is in work stays in the cache


class LatencyPredictor:
    """Predicts the latency of every network that ``prunable`` can become.

    The workloads' quantile ``p50_us`` is interpolated, summed, and calibrated with what
    whole networks took.

    Raises:
        UserError: an operation of the network has no entry in the table.
    """

    def __init__(self, prunable: PrunableModel, table: LatencyTable) -> None:
        self.prunable = prunable
        self.table = table
        calibration = table.target.calibration_of(**subject_of(prunable))
        if calibration is None:
            raise UserError(
                f"{table.folder} has no calibration: its profile was interrupted; {self._remedy()}"
            )
        self.calibration = calibration
        self._surfaces = Surfaces(table.p50_us(), calibration.channel_steps)
        self._sums: dict[OperationMap, WorkloadSum] = {}
        self._of(prunable.vector({}))

    def _sum(self, operations: OperationMap) -> "WorkloadSum":
        """The workloads of the network, or of what dropped blocks leave of it."""
        if operations not in self._sums:
            target = self.table.target
            workloads = workload_map(operations, target.fusion_rules, target.dtype)
            full = workloads.at(self.prunable.vector({}))
            absent = next((one for one in full if one not in self._surfaces), None)
            if absent is not None:
                raise UserError(f"no entry for {absent} in {self.table.folder}; {self._remedy()}")
            self._sums[operations] = WorkloadSum(workloads, full, self._surfaces)
        return self._sums[operations]

    @property
    def calibration_note(self) -> str:
        """Says that the calibration is that of another network; empty if it is this network's."""
        subject = subject_of(self.prunable)
        mine, used = subject_in_words(**subject), self.calibration.subject
        if mine == used:
            return ""
        return f"{self.table.folder} was calibrated with {used}, not with {mine}"

    def __call__(self, widths: Widths) -> float:
        """Predict the latency in ms of the network with ``widths``.

        Raises:
            UserError: unknown group, or a workload outside what the table has measured.
        """
        return float(self.batch(self.prunable.vector(widths)[None])[0])

    def batch(self, widths: ArrayLike) -> NDArray[np.float64]:
        """Predict ``(B,)`` latencies in ms.

        Args:
            widths: ``(B, G)`` channels, columns in the order of ``prunable.widths``.

        Raises:
            UserError: a workload outside what the table has measured.
        """
        rows = np.atleast_2d(np.asarray(widths))
        latency = self.batch_or_nan(rows)
        if np.isnan(latency).any():
            self._refuse(rows[int(np.argmax(np.isnan(latency)))])
        return latency

    def batch_or_nan(self, widths: NDArray[np.int64]) -> NDArray[np.float64]:
        """Predict as ``batch`` does, with NaN for what the table has not measured."""
        latency = np.full(len(widths), np.nan)
        for workloads, rows in self._networks(widths):
            total = np.zeros(len(rows))
            for start in range(0, len(rows), CHUNK):
                for part in workloads.parts_us(widths[rows[start : start + CHUNK]]):
                    total[start : start + CHUNK] += part
            latency[rows] = self._calibrated(workloads, total, widths[rows])
        return latency

    def _networks(
        self, widths: NDArray[np.int64]
    ) -> Iterator[tuple[WorkloadSum, NDArray[np.intp]]]:
        """Yield the networks without the blocks that are dropped, each with its rows.

        Those of which the table lacks a whole workload are left out.
        """
        for operations, rows in self.prunable.operations.parts(widths):
            with suppress(UserError):
                yield self._sum(operations), rows

    @property
    def has_energy(self) -> bool:
        """Whether the table says what energy a run takes."""
        return self.calibration.energy is not None

    def energy_or_nan(self, widths: NDArray[np.int64]) -> NDArray[np.float64]:
        """Predict the ``(B,)`` energies of a run in mJ, with NaN as ``batch_or_nan`` has it.

        Raises:
            UserError: the table has no energies.
        """
        energy = self.calibration.energy
        if energy is None:
            raise UserError(
                f"{self.table.folder} says nothing of energy: its device had no counter that may "
                "be read (RAPL in /sys/class/powercap, or NVML); profile again where it may"
            )
        found = np.full(len(widths), np.nan)
        for workloads, rows in self._networks(widths):
            kind_us: dict[str, NDArray[np.float64]] = {}
            parts = workloads.parts_us(widths[rows])
            for workload, part in zip(workloads.full, parts, strict=True):
                kind = block_kind(workload)
                kind_us[kind] = kind_us.get(kind, 0.0) + part
            found[rows] = energy.mj(kind_us)
        return found

    def breakdown(self, widths: Widths) -> list[tuple[str, str, float]]:
        """Return (module, workload, ms) for each workload, the fixed costs spread over them."""
        vector = self.prunable.vector(widths)
        whole = self(widths)
        workloads = self._of(vector)
        parts = np.array([part[0] for part in workloads.parts_us(vector[None])])
        milliseconds = parts / parts.sum() * whole
        operations = workloads.map.operations.operations
        return [
            (operations[unit.main].module, str(workload), float(ms))
            for unit, workload, ms in zip(
                workloads.map.units, workloads.map.at(vector), milliseconds, strict=True
            )
        ]

    def _of(self, widths: NDArray[np.int64]) -> WorkloadSum:
        return self._sum(self.prunable.operations.parts(widths[None])[0][0])

    def _refuse(self, widths: NDArray[np.int64]) -> NoReturn:
        workloads = self._of(widths)
        parts = workloads.parts_us(widths[None])
        for part, workload in zip(parts, workloads.map.at(widths), strict=True):
            if np.isnan(part).any():
                raise UserError(
                    f"{workload} is outside what {self.table.folder} has measured; {self._remedy()}"
                )
        raise AssertionError("a NaN latency has a workload outside the table")

    def _calibrated(
        self, workloads: WorkloadSum, total_us: NDArray[np.float64], widths: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        weights_mb = read_mb = np.zeros(len(widths))
        if self.calibration.cache_mb:
            weights_mb, read_mb = workloads.working_sets(widths)
        sums = NetworkSums(total_us, weights_mb, read_mb, len(workloads.full))
        latency = calibrated_ms(self.calibration, sums)
        if (latency <= 0).any():
            raise UserError(
                f"{self.table.folder} predicts {latency.min():.3g} ms for a network: its "
                f"calibration cannot be right; {self._remedy()}"
            )
        return latency

    def profile_command(self) -> str:
        """The command that measures what the table lacks of this network."""
        target = self.table.target
        example = self.prunable.example
        options = input_options(self.prunable.model, example)
        if options:
            asked = " ".join(f"--input {option}" for option in options)
        else:
            asked = f"--input-size {described(example).partition('x')[2].partition('x')[2]}"
        spec = getattr(self.prunable.model, "spec", None)
        model = spec.name if spec else "MODEL"
        precision = "" if target.precision == "fp32" else f"--precision {target.precision} "
        return (
            f"netadapt profile-lut --device {target.device} --runtime {target.runtime} "
            f"--threads {target.threads} --batch {target.batch} {precision}"
            f"--model {model} {asked} --lut {self.table.folder.parent}"
        )

    def _remedy(self) -> str:
        return f"run: {self.profile_command()}"


def subject_of(prunable: PrunableModel) -> dict[str, str]:
    """Name the ``model`` and its ``input``, as calibrations do."""
    spec = getattr(prunable.model, "spec", None)
    return {
        "model": spec.name if spec else type(prunable.model).__name__,
        "input": _named(prunable),
    }


def _named(prunable: PrunableModel) -> str:
    """The input in a calibration: ``1x3x64x64``, or ``left=1x3x64x64,right=1x3x64x64``."""
    example = prunable.example
    if isinstance(example, Mapping | tuple):
        options = input_options(prunable.model, example)
        return ",".join(options) or described(example)
    return described(example)
