"""Latencies of networks on the target, measured side by side with the base."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from torch import nn

from netadapt.latency.target import Target
from netadapt.profiling.devices import load_device
from netadapt.profiling.devices.base import Device
from netadapt.profiling.measurement import why_not_attached
from netadapt.pruning import PrunableModel, Widths
from netadapt.pruning.examples import Example
from netadapt.search.base_network import BaseNetwork

SECONDS_EACH = 0.25  # of each network in one reading, which makes this many runs:
FEWEST_RUNS, MOST_RUNS = 30, 250
AGREEMENT = 0.01  # between the two ratios in the middle
FEW = 4  # networks; among more, those of some network always disagree by more
FEWEST_READINGS, MOST_READINGS = 4, 8  # an even number of them

Readings = NDArray[np.float64]  # (readings, 1 + networks): the base's ms, then ratios to it


@dataclass(frozen=True)
class Times:
    """p50 in ms of the base and of other networks, measured in the same rounds.

    Likewise the mJ of a run; ``None``, and nothing, without an energy counter.
    """

    base_ms: float
    ms: tuple[float, ...]
    base_mj: float | None = None
    mj: tuple[float, ...] = ()


@dataclass(frozen=True)
class Rounds:
    """``(models, rounds)`` of interleaved rounds: median ms of each visit, and mJ of a run."""

    ms: NDArray[np.float64]
    mj: NDArray[np.float64] | None = None


class Clock:
    """Times networks against the base, where the table's target is attached.

    A single round of small networks is off by 2 to 3 % on a shared machine, so that a ratio that is
    right to a few tenths of a percent takes some hundred of them.

    Args:
        base: the network that all others are cut from.
        target: where they are timed.
        base_ms: what the base takes there, about.

    Attributes:
        seconds: spent on measuring so far.
    """

    def __init__(self, base: BaseNetwork, target: Target, base_ms: float) -> None:
        self._base = base
        self._target = target
        runs = int(1000 * SECONDS_EACH / base_ms)
        self._runs = min(max(runs, FEWEST_RUNS), MOST_RUNS)
        self.seconds = 0.0

    @cached_property
    def _device(self) -> Device:
        return load_device(self._target.device)

    @cached_property
    def not_attached(self) -> str | None:
        """Why nothing can be measured, or ``None`` if the target is attached."""
        return why_not_attached(self._target)

    def time(
        self, networks: Sequence[Widths], sure: Callable[[Readings], bool] = lambda _: False
    ) -> Times:
        """Time the base and ``networks``, given by their widths.

        All are loaded and timed in interleaved rounds, four times: where a network lies in memory
        makes it up to 1 % faster or slower as long as it is loaded. The median of these readings
        counts. While the two in the middle disagree by more than 1 % (2 % among more than four
        networks) more readings are taken, up to eight: a spell in which one network runs slow then
        changes nothing.

        Args:
            networks: their widths.
            sure: says after every reading whether no more are needed.
        """
        prunable = self._base.prunable
        models = [prunable.pruned({}), *(prunable.pruned(widths) for widths in networks)]
        start = time.monotonic()
        readings: list[NDArray[np.float64]] = []
        energies: list[NDArray[np.float64]] = []
        agreement = AGREEMENT if len(networks) <= FEW else 2 * AGREEMENT
        while not readings or not (
            _enough(np.stack(readings)[:, 1:], agreement) or sure(np.stack(readings))
        ):
            rounds = timed_rounds(
                models,
                prunable.example_input,
                self._target,
                prunable,
                self._runs,
                self._device,
            )
            readings.append(_reading(rounds.ms))
            if rounds.mj is not None:
                energies.append(rounds.mj)
        self.seconds += time.monotonic() - start
        base_ms, *ratios = _agreed(np.stack(readings))
        ms = tuple(base_ms * ratio for ratio in ratios)
        if not energies or not (np.concatenate(energies, axis=1)[0] > 0).all():
            return Times(base_ms, ms)
        base_mj, *shares = _reading(np.concatenate(energies, axis=1))
        return Times(base_ms, ms, float(base_mj), tuple(float(base_mj * one) for one in shares))


def timed_rounds(
    models: Sequence[nn.Module],
    example_input: Example,
    target: Target,
    traced: PrunableModel,
    runs: int,
    device: Device,
) -> Rounds:
    """Time ``models`` in interleaved rounds, ``runs`` times each."""
    timing = device.time(models, example_input, target, runs, traced)
    return Rounds(np.median(timing.seconds, axis=2) * 1000, timing.energy_mj)


def _reading(rounds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the base's median ms, then each other network's median ratio to the base."""
    ratios = np.median(rounds[1:] / rounds[0], axis=1)
    return np.append(np.median(rounds[0]), ratios)


def _enough(ratios: NDArray[np.float64], agreement: float) -> bool:
    """Whether the ``(readings, networks)`` ratios are as many as it takes, an even number."""
    count = len(ratios)
    if count >= MOST_READINGS:
        return True
    return count >= FEWEST_READINGS and count % 2 == 0 and _agree(ratios, agreement)


def _agree(ratios: NDArray[np.float64], agreement: float) -> bool:
    """Whether for each network the middle two of the ``(readings, networks)`` ratios agree."""
    ordered = np.sort(ratios, axis=0)
    low, high = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    return bool(np.all(high / low - 1 <= agreement))


def _agreed(readings: NDArray[np.float64]) -> list[float]:
    """Return the median of each column."""
    return [float(value) for value in np.median(readings, axis=0)]
