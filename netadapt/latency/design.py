"""Which networks to time, so that every pair of channel counts that meet is seen."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from netadapt.latency.workloads import WorkloadMap

LEVELS = 7  # a prime, so that Latin squares over the levels exist
LOWEST_SHARE = 1 / 8


def channel_levels(width: int, multiple: int) -> NDArray[np.int64]:
    """Return ``LEVELS`` channel counts from an eighth of ``width`` to all of it, rising."""
    lowest = max(multiple, int(width * LOWEST_SHARE) // multiple * multiple)
    levels = np.linspace(min(lowest, width), width, LEVELS)
    rounded = np.maximum(np.rint(levels / multiple) * multiple, min(lowest, width))
    rounded[-1] = width
    levels_found: NDArray[np.int64] = np.minimum(rounded, width).astype(np.int64)
    return levels_found


def design_networks(
    workloads: WorkloadMap, widths: Mapping[str, int], multiple: int
) -> NDArray[np.int64]:
    """Return ``(LEVELS**2, G)`` widths in which every two groups that meet show all pairs.

    Groups that meet in a workload get different colours; colour c follows the levels
    ``(a + c * b) mod LEVELS`` over all pairs (a, b), so that two colours together take
    every pair of levels once. (Bose 1938: orthogonal arrays of strength two.)
    """
    names = list(widths)
    colours = _colours(_neighbours(workloads, len(names)))
    levels = [channel_levels(widths[name], multiple) for name in names]
    rows = []
    for a in range(LEVELS):
        for b in range(LEVELS):
            places = [(a + colour * b) % LEVELS for colour in colours]
            rows.append([group[place] for group, place in zip(levels, places, strict=True)])
    return np.array(rows[::-1], dtype=np.int64)


def random_networks(
    widths: Mapping[str, int],
    count: int,
    multiple: int,
    rng: np.random.Generator,
    lowest_share: float = 0.25,
) -> NDArray[np.int64]:
    """Return ``(count, G)`` random widths, each between ``lowest_share`` and 1 of its group."""
    columns = []
    for width in widths.values():
        lowest = min(width, max(multiple, -(-int(width * lowest_share) // multiple) * multiple))
        choices = np.append(np.arange(lowest, width, multiple), width)
        columns.append(rng.choice(choices, count))
    return np.stack(columns, axis=1).astype(np.int64)


def extreme_networks(widths: Mapping[str, int], multiple: int) -> NDArray[np.int64]:
    """Return ``(2, G)``: every group at its lowest level, and at its full width."""
    levels = [channel_levels(width, multiple) for width in widths.values()]
    return np.array([[group[0] for group in levels], [group[-1] for group in levels]])


def _neighbours(workloads: WorkloadMap, groups: int) -> list[set[int]]:
    neighbours: list[set[int]] = [set() for _ in range(groups)]
    for columns in workloads.columns:
        touched = workloads.operations.coefficient[list(columns)].any(axis=0)
        meeting = set(np.flatnonzero(touched).tolist())
        for group in meeting:
            neighbours[group] |= meeting - {group}
    return neighbours


def _colours(neighbours: list[set[int]]) -> list[int]:
    colours: dict[int, int] = {}
    for group in sorted(range(len(neighbours)), key=lambda g: -len(neighbours[g])):
        used = {colours[other] for other in neighbours[group] if other in colours}
        colours[group] = next(c for c in range(len(neighbours) + 1) if c not in used)
    return [colours[group] for group in range(len(neighbours))]
