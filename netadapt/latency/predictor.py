"""Predicted latency: widths -> milliseconds, by table look-ups alone."""

from collections.abc import Iterator, Mapping
from typing import NoReturn

import numpy as np
from numpy.typing import ArrayLike, NDArray

from netadapt.errors import UserError
from netadapt.latency.calibration import NetworkSums, calibrated_ms, subject_in_words
from netadapt.latency.interpolation import Grid, Surfaces
from netadapt.latency.table import LatencyTable
from netadapt.latency.working_set import megabytes
from netadapt.latency.workloads import block_kind, workload_map
from netadapt.pruning import PrunableModel, Widths
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
        self._map = workload_map(prunable.operations, table.target.fusion_rules, table.target.dtype)
        calibration = table.target.calibration_of(**subject_of(prunable))
        if calibration is None:
            raise UserError(
                f"{table.folder} has no calibration: its profile was interrupted; {self._remedy()}"
            )
        self.calibration = calibration
        surfaces = Surfaces(table.p50_us(), calibration.channel_blocks)
        self._grids: list[Grid] = []
        self._full = self._map.at(prunable.vector({}))
        for workload in self._full:
            if workload not in surfaces:
                raise UserError(f"no entry for {workload} in {table.folder}; {self._remedy()}")
            self._grids.append(surfaces.grid(workload))
        needed = sorted({column for columns in self._map.columns for column in columns})
        self._constant = prunable.operations.constant[needed]
        self._coefficient = prunable.operations.coefficient[needed]
        self._places = [
            [needed.index(column) for column in columns] for columns in self._map.columns
        ]

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
            widths: ``(B, G)`` channels, columns in the order of ``prunable.groups``.

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
        total = np.zeros(len(widths))
        for start in range(0, len(widths), CHUNK):
            rows = widths[start : start + CHUNK]
            for part in self._parts_us(rows):
                total[start : start + CHUNK] += part
        return self._calibrated(total, widths)

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
        kind_us: dict[str, NDArray[np.float64]] = {}
        for workload, part in zip(self._full, self._parts_us(widths), strict=True):
            kind = block_kind(workload)
            kind_us[kind] = kind_us.get(kind, 0.0) + part
        return energy.mj(kind_us)

    def breakdown(self, widths: Widths) -> list[tuple[str, str, float]]:
        """Return (module, workload, ms) for each workload, the fixed costs spread over them."""
        vector = self.prunable.vector(widths)
        whole = self(widths)
        parts = np.array([part[0] for part in self._parts_us(vector[None])])
        milliseconds = parts / parts.sum() * whole
        operations = self.prunable.operations.operations
        return [
            (operations[unit.main].module, str(workload), float(ms))
            for unit, workload, ms in zip(
                self._map.units, self._map.at(vector), milliseconds, strict=True
            )
        ]

    def _refuse(self, widths: NDArray[np.int64]) -> NoReturn:
        for part, workload in zip(self._parts_us(widths[None]), self._map.at(widths), strict=True):
            if np.isnan(part).any():
                raise UserError(
                    f"{workload} is outside what {self.table.folder} has measured; {self._remedy()}"
                )
        raise AssertionError("a NaN latency has a workload outside the table")

    def _parts_us(self, widths: NDArray[np.int64]) -> Iterator[NDArray[np.float64]]:
        """Yield the ``(B,)`` microseconds of each workload, NaN outside the table."""
        channels = self._channels(widths)
        for grid, places in zip(self._grids, self._places, strict=True):
            yield grid(channels[places])

    def _working_sets(
        self, widths: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """The ``(B,)`` MB of weights, and of weights and inputs; zeros where no cache counts."""
        weights, inputs = np.zeros((2, len(widths)))
        if self.calibration.cache_mb:
            channels = self._channels(widths)
            for workload, places in zip(self._full, self._places, strict=True):
                part = megabytes(workload, channels[places])
                weights += part[0]
                inputs += part[1]
        return weights, weights + inputs

    def _channels(self, widths: NDArray[np.int64]) -> NDArray[np.int64]:
        sizes = self._coefficient @ np.asarray(widths, dtype=np.float64).T
        sizes += self._constant[:, None]
        return np.rint(sizes).astype(np.int64)

    def _calibrated(
        self, total_us: NDArray[np.float64], widths: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        weights_mb, read_mb = self._working_sets(widths)
        sums = NetworkSums(total_us, weights_mb, read_mb, len(self._grids))
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
