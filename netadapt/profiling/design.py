"""Which networks to time, so that every pair of channel counts that meet is seen."""

from collections.abc import Mapping
from itertools import product

import numpy as np
from numpy.typing import NDArray

from netadapt.latency.interpolation import Grid
from netadapt.latency.workloads import Family, Workload, WorkloadMap, coordinates, family
from netadapt.profiling.schedule import LEVELS

LOWEST_SHARE = 1 / 8
LARGEST_SHARE = 7 / 8  # of networks whose groups are all narrowed alike
Multiple = int | Mapping[str, int]  # one for all groups, or one for each
POOL = 64  # random networks that each refining one is chosen from


def channel_levels(width: int, multiple: int, count: int = LEVELS) -> NDArray[np.int64]:
    """Return ``count`` channel counts from an eighth of ``width`` to all of it, rising."""
    lowest = max(multiple, int(width * LOWEST_SHARE) // multiple * multiple)
    levels = np.linspace(min(lowest, width), width, count)
    rounded = np.maximum(np.rint(levels / multiple) * multiple, min(lowest, width))
    rounded[-1] = width
    levels_found: NDArray[np.int64] = np.minimum(rounded, width).astype(np.int64)
    return levels_found


def multiple_of(multiple: Multiple, name: str) -> int:
    """What the channel counts of group ``name`` are multiples of."""
    return multiple if isinstance(multiple, int) else multiple[name]


def design_networks(
    workloads: WorkloadMap, widths: Mapping[str, int], multiple: Multiple, levels: int = LEVELS
) -> NDArray[np.int64]:
    """Return ``(N, G)`` widths at which every workload is seen with all pairs of its channels.

    Groups that a workload reads and those that it makes get different colours; colour c follows
    the levels ``(a + c * b) mod levels`` over all pairs (a, b), so that two colours together
    take every pair of levels once. (Bose 1938: orthogonal arrays of strength two.) Groups that
    are concatenated get the same colour where they can. Where they cannot, their sums are
    scattered, and all combinations of lowest and full widths, a choice for each colour, are added
    to put a hull around them.

    Args:
        workloads: of the network.
        widths: the full widths.
        multiple: channel counts are multiples of it, or of each group's own.
        levels: widths per group, a prime, so that Latin squares over the levels exist; more where
            there are more colours.
    """
    names = list(widths)
    sides = _sides(workloads)
    colours = _colours(sides, len(names))
    levels = _prime_from(max(levels, max(colours, default=0) + 1))
    counts = [channel_levels(widths[name], multiple_of(multiple, name), levels) for name in names]
    rows = []
    for a in range(levels):
        for b in range(levels):
            places = [(a + colour * b) % levels for colour in colours]
            rows.append([group[place] for group, place in zip(counts, places, strict=True)])
    rows.reverse()
    if any(len({colours[group] for group in side}) > 1 for unit in sides for side in unit):
        for ends in product((0, levels - 1), repeat=max(colours) + 1):
            rows.append([group[ends[c]] for group, c in zip(counts, colours, strict=True)])
    return np.unique(rows, axis=0)[::-1] if len(rows) > levels**2 else np.array(rows)


def random_networks(
    widths: Mapping[str, int],
    count: int,
    multiple: Multiple,
    rng: np.random.Generator,
    lowest_share: float = 0.25,
) -> NDArray[np.int64]:
    """Return ``(count, G)`` random widths, each between ``lowest_share`` and 1 of its group."""
    columns = []
    for name, width in widths.items():
        step = multiple_of(multiple, name)
        lowest = min(width, max(step, -(-int(width * lowest_share) // step) * step))
        choices = np.append(np.arange(lowest, width, step), width)
        columns.append(rng.choice(choices, count))
    return np.stack(columns, axis=1).astype(np.int64)


def extreme_networks(widths: Mapping[str, int], multiple: Multiple) -> NDArray[np.int64]:
    """Return ``(2, G)``: every group at its lowest level, and at its full width."""
    levels = [
        channel_levels(width, multiple_of(multiple, name), 2) for name, width in widths.items()
    ]
    return np.array([[group[0] for group in levels], [group[-1] for group in levels]])


def searched_networks(
    widths: Mapping[str, int], count: int, multiple: Multiple, rng: np.random.Generator
) -> NDArray[np.int64]:
    """Return ``(count, G)`` networks as a search meets them.

    Of every four one has all groups narrowed alike, to an eighth and more; one a few groups cut
    deep and the others full, as a walk leaves them; and two have random widths.
    """
    rows = random_networks(widths, count, multiple, rng)
    groups = len(widths)
    shares = np.linspace(LOWEST_SHARE, LARGEST_SHARE, -(-count // 4))[_spread(-(-count // 4))]
    rows[::4] = narrowed_networks(widths, np.tile(shares, (groups, 1)).T, multiple)
    for place in range(1, count, 4):
        deep = rng.permutation(groups) < rng.integers(1, max(2, groups // 2 + 1))
        share = np.where(deep, rng.uniform(LOWEST_SHARE, 0.5, groups), 1.0)
        rows[place] = narrowed_networks(widths, share[None], multiple)[0]
    return rows


def uniform_networks(
    widths: Mapping[str, int], count: int, multiple: Multiple
) -> NDArray[np.int64]:
    """Return ``(count, G)`` widths with all groups narrowed alike, from 7/8 down.

    Their shares lie evenly between an eighth, which is left out, and 7/8.
    """
    shares = np.linspace(LARGEST_SHARE, LOWEST_SHARE, count, endpoint=False)
    return narrowed_networks(widths, np.tile(shares, (len(widths), 1)).T, multiple)


def narrowed_networks(
    widths: Mapping[str, int], shares: NDArray[np.float64], multiple: Multiple
) -> NDArray[np.int64]:
    """Return the ``(N, G)`` widths nearest to ``(N, G)`` shares of the full ones."""
    lowest = extreme_networks(widths, multiple)[0]
    full = np.array(list(widths.values()))
    steps = np.array([multiple_of(multiple, name) for name in widths])
    rounded = (np.rint(full * shares / steps) * steps).astype(np.int64)
    clipped: NDArray[np.int64] = np.maximum(lowest, np.minimum(rounded, full))
    return clipped


def _spread(count: int) -> NDArray[np.intp]:
    """Return the numbers below ``count`` so that the first few lie far apart.

    The golden ratio's multiples modulo 1, ranked.
    """
    golden = (np.arange(count) * 0.6180339887) % 1
    return np.argsort(np.argsort(golden))


def refining_networks(
    workloads: WorkloadMap,
    widths: Mapping[str, int],
    latencies: Mapping[Workload, float],
    count: int,
    multiple: Multiple,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Return ``(count, G)`` widths at which interpolation is least sure.

    Each is, of a pool of random networks, the one whose workloads have the largest summed
    doubt: how far half of the measurements disagree there with all of them, times how far the
    nearest measurement is.
    """
    doubts = _Doubts(latencies)
    lowest = LOWEST_SHARE
    chosen = []
    for _ in range(count):
        pool = random_networks(widths, POOL, multiple, rng, lowest)
        chosen.append(max(pool, key=lambda row: doubts.of(workloads.at(row))))
    return np.array(chosen)


class _Doubts:
    """What is not known of each family between its measurements."""

    def __init__(self, latencies: Mapping[Workload, float]) -> None:
        points: dict[Family, dict[tuple[int, ...], float]] = {}
        for workload, latency in latencies.items():
            points.setdefault(family(workload), {})[coordinates(workload)] = latency
        self._points = points
        self._known: dict[Workload, float] = {}
        self._halves: dict[Family, tuple[Grid, Grid]] = {}

    def of(self, network: tuple[Workload, ...]) -> float:
        """The summed doubt of a network, in microseconds."""
        return sum(self._doubt(workload) for workload in network)

    def _doubt(self, workload: Workload) -> float:
        if workload not in self._known:
            self._known[workload] = self._computed(workload)
        return self._known[workload]

    def _computed(self, workload: Workload) -> float:
        key = family(workload)
        points = self._points.get(key, {})
        if len(points) < 4:
            return 0.0
        if key not in self._halves:
            places = list(points)
            order = np.random.default_rng(0).permutation(len(places))
            half = [places[i] for i in order[::2]]
            self._halves[key] = (
                Grid(places, list(points.values())),
                Grid(half, [points[place] for place in half]),
            )
        at = np.array(coordinates(workload))
        both = [float(grid(at[:, None])[0]) for grid in self._halves[key]]
        known = np.array(list(points))
        spans = np.maximum(np.ptp(known, axis=0), 1)
        distance = float((np.abs(known - at) / spans).max(axis=1).min())
        return float(np.nan_to_num(abs(both[0] - both[1]))) * distance


def _prime_from(number: int) -> int:
    """The smallest prime that is at least ``number`` and 2."""
    number = max(number, 2)
    while any(number % divisor == 0 for divisor in range(2, int(number**0.5) + 1)):
        number += 1
    return number


def _sides(workloads: WorkloadMap) -> list[list[set[int]]]:
    """For each workload the groups behind each of its coordinates: read, made."""
    coefficient = workloads.operations.coefficient
    return [
        [set(np.flatnonzero(coefficient[column]).tolist()) for column in columns]
        for columns in workloads.columns
    ]


def _colours(sides: list[list[set[int]]], groups: int) -> list[int]:
    apart: list[set[int]] = [set() for _ in range(groups)]
    together: list[set[int]] = [set() for _ in range(groups)]
    for unit in sides:
        for side in unit:
            others = set().union(*unit) - side
            for group in side:
                apart[group] |= others
                for other in others:
                    apart[other].add(group)
                together[group] |= side - {group}
    colours: dict[int, int] = {}
    for group in sorted(range(groups), key=lambda g: -len(apart[g])):
        used = {colours[other] for other in apart[group] if other in colours}
        partners = sorted(colours[other] for other in together[group] if other in colours)
        choices = [*partners, *range(groups + 1)]
        colours[group] = next(colour for colour in choices if colour not in used)
    return [colours[group] for group in range(groups)]
