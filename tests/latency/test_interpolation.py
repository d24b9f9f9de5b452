import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.interpolate import RegularGridInterpolator

from netadapt.latency.channel_steps import ChannelSteps, best_steps
from netadapt.latency.interpolation import Grid, VectorGrid
from netadapt.latency.surfaces import Surfaces
from netadapt.latency.workloads import Workload

axes = st.lists(st.integers(1, 1024), min_size=1, max_size=6, unique=True).map(sorted)


def full_grid(
    seed: int, *given: list[int]
) -> tuple[list[tuple[int, ...]], NDArray[np.float64], NDArray[np.float64]]:
    """All points of a grid in a random order, their values, and the values as an array."""
    random = np.random.default_rng(seed)
    nodes = random.uniform(1, 100, [len(axis) for axis in given])
    points = np.stack(np.meshgrid(*given, indexing="ij"), -1).reshape(-1, len(given))
    order = random.permutation(len(points))
    return [tuple(p) for p in points[order].tolist()], nodes.ravel()[order], nodes


@settings(max_examples=60, deadline=None)
@given(first=axes, second=axes, seed=st.integers(0, 99))
def test_a_grid_is_exact_where_it_was_measured(
    first: list[int], second: list[int], seed: int
) -> None:
    points, values, _ = full_grid(seed, first, second)
    np.testing.assert_allclose(Grid(points, values.tolist())(np.array(points).T), values)
    line, heights, _ = full_grid(seed, first)
    np.testing.assert_allclose(Grid(line, heights.tolist())(np.array(line).T), heights)


@settings(max_examples=60, deadline=None)
@given(
    grid=st.lists(axes.filter(lambda axis: len(axis) > 1), min_size=1, max_size=2),
    seed=st.integers(0, 99),
)
def test_between_nodes_a_grid_is_multilinear(grid: list[list[int]], seed: int) -> None:
    points, values, nodes = full_grid(seed, *grid)
    random = np.random.default_rng(seed)
    asked = np.stack([random.integers(axis[0], axis[-1] + 1, 50) for axis in grid], 1)
    oracle = RegularGridInterpolator(grid, nodes)
    np.testing.assert_allclose(Grid(points, values.tolist())(asked.T), oracle(asked))


@settings(max_examples=60, deadline=None)
@given(first=axes, second=axes, asked=st.tuples(st.integers(0, 1100), st.integers(0, 1100)))
def test_outside_what_was_measured_a_grid_answers_nan(
    first: list[int], second: list[int], asked: tuple[int, int]
) -> None:
    points, values, _ = full_grid(0, first, second)
    inside = first[0] <= asked[0] <= first[-1] and second[0] <= asked[1] <= second[-1]
    answer = Grid(points, values.tolist())(np.array([asked]).T)
    assert np.isfinite(answer[0]) == inside


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_holes_are_filled_from_their_neighbours(data: st.DataObject) -> None:
    """A plane stays a plane, whichever nodes were not measured."""
    grid = [data.draw(axes.filter(lambda axis: len(axis) > 2)) for _ in range(2)]
    points = [(a, b) for a in grid[0] for b in grid[1]]
    corners = [(a, b) for a in (grid[0][0], grid[0][-1]) for b in (grid[1][0], grid[1][-1])]
    kept = [p for p in points if p in corners or data.draw(st.booleans())]
    values = [3.0 + 0.5 * a + 0.25 * b for a, b in kept]
    asked = np.array(points)
    answer = Grid(kept, values)(asked.T)
    np.testing.assert_allclose(answer, 3.0 + asked @ (0.5, 0.25))


def test_a_hole_with_nothing_around_it_stays_unknown() -> None:
    grid = Grid([(1, 1), (2, 2), (3, 3)], [1.0, 2.0, 3.0])
    answers = grid(np.array([[1, 1], [2, 2], [3, 3], [1, 3], [3, 1], [2, 3]]).T)
    assert answers[:3].tolist() == [1.0, 2.0, 3.0]
    assert np.isnan(answers[3:]).all()


@pytest.mark.parametrize("count", [0, 1, 7])
def test_a_batch_is_answered_row_by_row(count: int) -> None:
    points, values, _ = full_grid(1, [8, 16, 32], [4, 12])
    grid = Grid(points, values.tolist())
    asked = np.random.default_rng(0).integers(0, 40, (count, 2))
    together = grid(asked.T)
    assert together.shape == (count,)
    alone = [grid(row[:, None])[0] for row in asked]
    np.testing.assert_array_equal(together, np.array(alone).reshape(count))


def pointwise(into: int, out: int) -> Workload:
    return Workload("conv2d", ((1, into, 14, 14),), out, (1, 1), (1, 1), (0, 0), (1, 1))


def blocked_latency(workload: Workload, block: int, noise: float = 0.0) -> float:
    """What a target would take that computes ``block`` channels at a time."""
    into, out = (-(-c // block) * block for c in (workload.inputs[0][1], workload.out_channels))
    return (5.0 + 0.01 * into * out) * (1 + noise)


def measured(block: int, noise: float) -> dict[Workload, float]:
    random = np.random.default_rng(1)
    pairs = [pointwise(*(8 * random.integers(1, 33, 2)).tolist()) for _ in range(60)]
    corners = [pointwise(a, b) for a in (8, 256) for b in (8, 256)]
    return {
        one: blocked_latency(one, block, noise * random.standard_normal())
        for one in pairs + corners
    }


@pytest.mark.parametrize(("true", "found"), [(8, 1), (16, 16), (32, 32)])
def test_the_block_of_a_staircase_is_found(true: int, found: int) -> None:
    """Counts measured are multiples of 8, so a block of 8 cannot be told from none."""
    steps = best_steps(measured(true, noise=0.02))
    assert steps.blocks == ({"conv2d pointwise": found} if found > 1 else {})


def test_every_kind_has_a_block_of_its_own() -> None:
    pointwise_us = measured(32, noise=0.02)
    depthwise = [
        Workload("conv2d", ((1, c, 14, 14),), c, (3, 3), (1, 1), (1, 1), (1, 1), groups=c)
        for c in range(8, 257, 8)
    ]
    linear = [Workload("linear", ((1, c),), d) for c in range(8, 65, 8) for d in range(8, 65, 8)]
    stairs = {one: 5.0 + -(-one.out_channels // 16) for one in depthwise}
    slopes = {one: 5.0 + one.inputs[0][1] * one.out_channels for one in linear}
    found = best_steps({**pointwise_us, **stairs, **slopes})
    assert found.blocks == {"conv2d depthwise": 16, "conv2d pointwise": 32}
    surfaces = Surfaces({**pointwise_us, **stairs}, found)
    for one, microseconds in stairs.items():
        assert surfaces.sums([[one]]) == pytest.approx(microseconds)


def with_rest(channels: int, vector: int, extra: float) -> float:
    """What a kernel takes that computes vectors at once and the rest one by one."""
    return 3.0 + 0.1 * (channels // vector * vector) + extra * (channels % vector)


def depthwise(channels: int, kernel: int = 3) -> Workload:
    shape, pad = (1, channels, 14, 14), kernel // 2
    return Workload(
        "conv2d", (shape,), channels, (kernel,) * 2, (1, 1), (pad,) * 2, (1, 1), groups=channels
    )


@pytest.mark.parametrize("vector", [16, 32])
def test_channels_beyond_whole_vectors_cost_extra(vector: int) -> None:
    """Counts on both sides are cheaper than the one between them: no block can say so."""
    counts = [*range(8, 257, 16), *range(16, 257, 16)]
    latencies = {depthwise(c): with_rest(c, vector, extra=1.5) for c in counts}
    latencies |= {pointwise(8, c): 5.0 + 0.1 * c for c in counts}
    steps = best_steps(latencies)
    assert steps == ChannelSteps(vectors={"conv2d depthwise": vector})
    surfaces = Surfaces(latencies, steps)
    for one, microseconds in latencies.items():
        assert surfaces.sums([[one]]) == pytest.approx(microseconds)


def test_between_measured_counts_the_extra_is_interpolated() -> None:
    counts = np.array([16, 24, 32, 64, 72, 96])
    grid = VectorGrid(counts, np.array([10.0, 30.0, 20.0, 40.0, 84.0, 60.0]), 16)
    asked = np.array([[48, 80, 40, 88, 24, 8, 104]])
    # 24 costs twice what lies between 16 and 32, and 72 (of 45) 84 / 45 times
    factor = 2 + (84 / 45 - 2) * (40 - 24) / (72 - 24)
    wanted = [30.0, 50.0, 25.0 * factor, 55.0 * 84 / 45, 30.0, np.nan, np.nan]
    np.testing.assert_allclose(grid(asked), wanted)


def test_measured_multiples_alone_say_nothing_of_a_rest() -> None:
    grid = VectorGrid(np.array([32, 16]), np.array([4.0, 2.0]), 16)
    np.testing.assert_allclose(grid(np.array([[16, 24, 32]])), [2.0, 3.0, 4.0])


def test_a_family_without_whole_vectors_is_interpolated_smoothly() -> None:
    steps = ChannelSteps(vectors={"conv2d depthwise": 16})
    surfaces = Surfaces({depthwise(8): 8.0, depthwise(24): 24.0}, steps)
    assert surfaces.sums([[depthwise(12)]]) == pytest.approx(12.0)


@pytest.mark.parametrize("block", [16, 32])
def test_steps_stay_steps(block: int) -> None:
    counts = range(8, 257, 24)
    grid = [pointwise(a, b) for a in (*counts, 256) for b in (*counts, 256)]
    surfaces = Surfaces(
        {one: blocked_latency(one, block) for one in grid}, ChannelSteps({"": block})
    )
    on_one_step = [pointwise(200, out) for out in range(193 - block + 32, 193 + 32)]
    sums = surfaces.sums([[one] for one in on_one_step if one.out_channels % 32 > 16])
    assert np.ptp(sums) == pytest.approx(0)
    random = np.random.default_rng(2)
    asked = [pointwise(*random.integers(block, 257, 2).tolist()) for _ in range(40)]
    wanted = [blocked_latency(one, block) for one in asked]
    np.testing.assert_allclose(surfaces.sums([[one] for one in asked]), wanted)


def test_a_network_outside_the_hull_has_no_sum() -> None:
    latencies = measured(8, noise=0.0)
    inside = next(iter(latencies))
    sums = Surfaces(latencies).sums([[inside], [inside, pointwise(8, 257)]])
    assert sums[0] == pytest.approx(latencies[inside])
    assert np.isnan(sums[1])
