"""How many channels a target computes at a time, and what that does to latency between them."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from netadapt.latency.interpolation import Grid, Point, VectorGrid
from netadapt.latency.workloads import Workload, block_kind, coordinates, family

BLOCKS = (1, 4, 8, 16, 32, 64)
VECTORS = (4, 8, 16, 32, 64)
FOLDS = 7
PAYS = 0.9  # of the error without steps

Interpolation = Callable[[NDArray[np.int64]], NDArray[np.float64]]


@dataclass(frozen=True)
class ChannelSteps:
    """How each kind of workload takes its channels; see ``block_kind`` for the kinds.

    Attributes:
        blocks: any channel count costs what the next multiple costs. The kind ``""`` stands for
            all that are not named; kinds of which nothing is said have 1.
        vectors: counts that are no multiple cost extra for the rest (int8 depthwise convolutions
            of onnxruntime: up to five times as much). Only for kinds of one channel count.
    """

    blocks: Mapping[str, int] = field(default_factory=dict)
    vectors: Mapping[str, int] = field(default_factory=dict)

    def grid(self, kind: str, points: Sequence[Point], values: Sequence[float]) -> Interpolation:
        """Return what interpolates one family of ``kind``, see ``Grid`` for the arguments."""
        vector = self.vectors.get(kind, 0)
        if vector and len(points[0]) == 1 and any(point[0] % vector == 0 for point in points):
            return VectorGrid(np.array(points)[:, 0], np.array(values), vector)
        return Grid(points, values, self.blocks.get(kind, self.blocks.get("", 1)))


def best_steps(latencies: Mapping[Workload, float]) -> ChannelSteps:
    """Return for each kind the steps that predict left-out measurements best.

    Each family is split in folds; every fold is predicted from the others. Errors are absolute,
    so that what costs most counts most. Steps must pay: ties go to the smaller ones, and to
    blocks. Kinds with a block of 1 are left out.
    """
    kinds: dict[str, dict[Workload, float]] = defaultdict(dict)
    for workload, latency in latencies.items():
        kinds[block_kind(workload)][workload] = latency
    blocks: dict[str, int] = {}
    vectors: dict[str, int] = {}
    for kind, members in sorted(kinds.items()):
        steps = _best_of_kind(kind, members)
        blocks.update(steps.blocks)
        vectors.update(steps.vectors)
    return ChannelSteps(blocks, vectors)


def _best_of_kind(kind: str, latencies: Mapping[Workload, float]) -> ChannelSteps:
    grouped: dict[object, tuple[list[Point], list[float]]] = defaultdict(lambda: ([], []))
    for workload, latency in latencies.items():
        points, values = grouped[family(workload)]
        points.append(coordinates(workload))
        values.append(latency)
    measured = [both for both in grouped.values() if len(both[0]) >= 2 * FOLDS]
    smooth = ChannelSteps()
    limit = PAYS * _left_out_error(smooth, kind, measured)
    best = smooth
    for steps in _candidates(kind, [points for points, _ in grouped.values()]):
        error = _left_out_error(steps, kind, measured)
        if error < limit:
            best, limit = steps, error
    return best


def _candidates(kind: str, families: Sequence[Sequence[Point]]) -> Iterable[ChannelSteps]:
    channels = np.array([count for points in families for point in points for count in point])
    # what all measured counts are multiples of cannot be told apart
    for block in BLOCKS[1:]:
        if (channels % block).any():
            yield ChannelSteps(blocks={kind: block})
    if all(len(points[0]) == 1 for points in families):
        for vector in VECTORS:
            if (channels % vector).any():
                yield ChannelSteps(vectors={kind: vector})


def _left_out_error(
    steps: ChannelSteps, kind: str, families: Sequence[tuple[list[Point], list[float]]]
) -> float:
    total = 0.0
    for points, values in families:
        fold = np.random.default_rng(0).permutation(len(points)) % FOLDS
        for left_out in range(FOLDS):
            inside, outside = np.flatnonzero(fold != left_out), np.flatnonzero(fold == left_out)
            grid = steps.grid(kind, [points[i] for i in inside], [values[i] for i in inside])
            error = grid(np.array([points[i] for i in outside]).T) - np.array(values)[outside]
            # what only the left-out point bounded tells nothing
            total += float(np.nansum(np.abs(error)))
    return total
