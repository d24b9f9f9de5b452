from itertools import pairwise, product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor, nn

from netadapt.latency.fusion import FUSIONS, Fusion
from netadapt.latency.surfaces import Surfaces
from netadapt.latency.workloads import coordinates, workload_map
from netadapt.profiling.design import (
    channel_levels,
    design_networks,
    random_networks,
    refining_networks,
    searched_networks,
    uniform_networks,
)
from netadapt.pruning import PrunableModel, trace

widths = st.integers(1, 2048)
multiples = st.sampled_from([1, 2, 4, 8, 16])

# groups that some layer of FastDepth reads and writes, from the paper's figure
CHAIN = (
    "conv0.0", *(f"conv{n}.3" for n in range(1, 14)), "decode_conv1.1.0", "conv5.3", "conv3.3",
    "conv1.3", "decode_conv5.1.0",
)  # fmt: skip


@given(widths, multiples)
def test_levels_rise_to_the_full_width_in_multiples(width: int, multiple: int) -> None:
    levels = channel_levels(width, multiple).tolist()
    assert levels == sorted(levels)
    assert levels[-1] == width
    assert 1 <= levels[0] <= max(multiple, width / 8)
    assert all(level % multiple == 0 or level == width for level in levels)


@given(widths, multiples, st.floats(0.25, 1.0), st.integers(0, 99))
def test_random_networks_lie_within_what_is_measured(
    width: int, multiple: int, share: float, seed: int
) -> None:
    given = {"first": width, "second": 64}
    rows = random_networks(given, 20, multiple, np.random.default_rng(seed), share)
    assert rows.shape == (20, 2)
    first = rows[:, 0]
    assert np.all(first <= width)
    assert np.all(first >= min(width, share * width // multiple * multiple, width))
    assert np.all((first % multiple == 0) | (first == width))
    assert np.all(first >= channel_levels(width, multiple)[0])


def test_random_networks_follow_their_seed() -> None:
    one, two, other = (
        random_networks({"a": 512, "b": 64}, 30, 8, np.random.default_rng(s)) for s in (1, 1, 2)
    )
    assert np.array_equal(one, two)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("runtime", ["onnxruntime", "torch"])
def test_every_pair_of_levels_of_groups_that_meet_is_measured(
    thin: PrunableModel, runtime: str
) -> None:
    workloads = workload_map(thin.operations, FUSIONS[runtime])
    rows = design_networks(workloads, thin.widths, multiple=2)
    columns = dict(zip(thin.groups, rows.T.tolist(), strict=True))
    for first, second in pairwise(CHAIN):
        seen = set(zip(columns[first], columns[second], strict=True))
        levels = (channel_levels(thin.widths[name], 2).tolist() for name in (first, second))
        assert set(product(*levels)) <= seen, (first, second)


def test_the_whole_network_is_among_those_measured(thin: PrunableModel) -> None:
    workloads = workload_map(thin.operations, FUSIONS["onnxruntime"])
    rows = design_networks(workloads, thin.widths, multiple=8)
    assert thin.vector({}).tolist() in rows.tolist()


class Dense(nn.Module):
    """Every layer reads all before it, as in DenseNet."""

    def __init__(self, layers: int = 7) -> None:
        super().__init__()
        self.narrow = nn.ModuleList(nn.Conv2d(3 + 16 * i, 32, 1) for i in range(layers))
        self.grow = nn.ModuleList(nn.Conv2d(32, 16, 3, padding=1) for _ in range(layers))

    def forward(self, x: Tensor) -> Tensor:
        for narrow, grow in zip(self.narrow, self.grow, strict=True):
            x = torch.cat([x, grow(narrow(x))], dim=1)
        return x


class Entangled(nn.Module):
    """Three layers, each of which reads two that also read one another."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 64, 1), nn.Conv2d(64, 48, 1)
        self.c, self.d = nn.Conv2d(64 + 48, 40, 1), nn.Conv2d(64 + 48 + 40, 32, 1)
        self.tied = nn.Conv2d(32, 32, 3, padding=1)
        self.grouped = nn.Conv2d(32, 64, 3, padding=1, groups=32)

    def forward(self, x: Tensor) -> Tensor:
        a = self.a(x)
        ab = torch.cat([a, self.b(a)], dim=1)
        d = self.d(torch.cat([ab, self.c(ab)], dim=1))
        return self.grouped(d + self.tied(d))


@pytest.mark.parametrize("network", [Dense, Entangled])
def test_every_network_lies_in_the_hull_of_the_design(network: type[nn.Module]) -> None:
    prunable = trace(network().eval(), torch.rand(1, 3, 8, 8))
    mapped = workload_map(prunable.operations, Fusion())
    rows = design_networks(mapped, prunable.widths, 2)
    assert len(rows) <= 5**2 + 2**4
    latencies = {one: float(sum(coordinates(one))) for row in rows for one in mapped.at(row)}
    lowest = [channel_levels(width, 2)[0] for width in prunable.widths.values()]
    steps = [group.step for group in prunable.groups.values()]
    rng = np.random.default_rng(0)
    for _ in range(100):
        widths = [
            int(rng.integers(-(-low // step), full // step + 1)) * step
            for low, full, step in zip(lowest, prunable.widths.values(), steps, strict=True)
        ]
        wanted = sum(sum(coordinates(one)) for one in mapped.at(widths))
        got = Surfaces(latencies).sums([mapped.at(widths)])[0]
        assert got == pytest.approx(wanted, rel=1e-6)  # a plane stays a plane


def test_a_dense_block_needs_no_more_networks_than_a_chain() -> None:
    prunable = trace(Dense(20).eval(), torch.rand(1, 3, 8, 8))
    mapped = workload_map(prunable.operations, Fusion())
    assert len(design_networks(mapped, prunable.widths, 2)) == 5**2


def test_refining_networks_go_where_interpolation_is_least_sure() -> None:
    """Of a network that is rough in one group only, that group is refined."""
    layers = [nn.Conv2d(3, 256, 3), nn.Conv2d(256, 256, 1), nn.Conv2d(256, 1, 1)]
    chain = trace(nn.Sequential(*layers).eval(), torch.rand(1, 3, 8, 8))
    mapped = workload_map(chain.operations, Fusion())
    rows = design_networks(mapped, chain.widths, 8, levels=5)
    latencies = {}
    for row in rows:
        first, second, last = mapped.at(row)
        latencies[first] = 100.0 * (1 + first.out_channels % 3)
        latencies[second] = latencies[last] = 1.0
    refined = refining_networks(mapped, chain.widths, latencies, 8, 8, np.random.default_rng(0))
    plain = random_networks(chain.widths, 200, 8, np.random.default_rng(0), 1 / 8)
    known = np.unique(rows[:, 0])

    def distance(networks: NDArray[np.int64]) -> float:
        return float(np.abs(networks[:, [0]] - known).min(axis=1).mean())

    assert refined.shape == (8, 2)
    assert distance(refined) > 1.5 * distance(plain)


@pytest.mark.parametrize("count", [1, 8, 30])
@given(
    sizes=st.lists(st.integers(1, 40).map(lambda n: 6 * n), min_size=1, max_size=12),
    multiple=st.sampled_from([1, 2, 3, 6]),
    seed=st.integers(0, 99),
)
def test_networks_as_a_search_meets_them_are_within_what_a_design_covers(
    sizes: list[int], multiple: int, seed: int, count: int
) -> None:
    groups = {f"g{place}": size for place, size in enumerate(sizes)}
    rows = searched_networks(groups, count, multiple, np.random.default_rng(seed))
    full = np.array(sizes)
    lowest = [channel_levels(size, multiple)[0] for size in sizes]
    assert rows.shape == (count, len(sizes))
    assert ((rows >= lowest) & (rows <= full)).all()
    assert (rows % multiple == 0).all()
    for deep in rows[1::4]:  # a few groups cut, the others left
        assert (deep == full).sum() >= len(full) - max(1, len(full) // 2)


def test_uniform_networks_span_an_eighth_to_seven_eighths() -> None:
    groups = dict.fromkeys("abcd", 512)
    uniform = searched_networks(groups, 24, 8, np.random.default_rng(0))[::4]
    assert (uniform == uniform[:, :1]).all()
    assert sorted(uniform[:, 0].tolist()) == [64, 144, 216, 296, 368, 448]


def test_the_first_uniform_networks_calibrate_and_lie_far_apart() -> None:
    rows = searched_networks(dict.fromkeys("abcd", 512), 64, 8, np.random.default_rng(0))
    first = sorted(rows[:16:4, 0].tolist())
    assert min(np.diff(first)) > 512 / 16


def test_a_design_has_uniform_networks_between_an_eighth_and_seven_eighths() -> None:
    rows = uniform_networks({"a": 512, "b": 64}, 6, 8)
    assert rows[:, 0].tolist() == [448, 384, 320, 256, 192, 128]
    assert (rows[:, 1] == rows[:, 0] // 8).all()
    assert uniform_networks({"a": 512, "b": 64}, 0, 8).shape == (0, 2)


def test_a_group_of_several_channels_at_once_keeps_its_step() -> None:
    multiples = {"a": 8, "b": 24}
    rows = searched_networks({"a": 64, "b": 96}, 40, multiples, np.random.default_rng(1))
    assert (rows % [8, 24] == 0).all()


class Gated(nn.Module):
    """Makes of a state and what is beside it a new state: the state is read and written."""

    def __init__(self) -> None:
        super().__init__()
        self.state, self.beside = nn.Conv2d(3, 24, 1), nn.Conv2d(3, 40, 1)
        self.gates, self.head = nn.Conv2d(64, 24, 3, padding=1), nn.Conv2d(24, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        state = self.state(x)
        return self.head(state * self.gates(torch.cat([state, self.beside(x)], 1)).sigmoid())


def test_a_channel_that_is_read_and_written_is_covered_beside_others() -> None:
    prunable = trace(Gated(), torch.rand(1, 3, 8, 8))
    mapped = workload_map(prunable.operations, FUSIONS["onnxruntime"])
    rows = design_networks(mapped, prunable.widths, 8)
    measured = {one: 1.0 for row in rows for one in mapped.at(row)}
    asked = random_networks(prunable.widths, 40, 8, np.random.default_rng(0), 1 / 8)
    sums = Surfaces(measured).sums([mapped.at(row) for row in asked])
    assert not np.isnan(sums).any()


def test_a_convolution_behind_a_transposition_reads_its_second_side() -> None:
    class Bins(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.head = nn.Conv2d(3, 16, 1), nn.Conv2d(16, 32, 1)
            self.mean = nn.Conv2d(8, 2, 1)

        def forward(self, x: Tensor) -> Tensor:
            bins = self.head(self.stem(x).relu()).view(len(x), 4, 8, -1).transpose(1, 2)
            return self.mean(bins.softmax(1))

    prunable = trace(Bins(), torch.rand(1, 3, 8, 8))
    mapped = workload_map(prunable.operations, FUSIONS["onnxruntime"])
    last = mapped.at(prunable.vector({}))[-1]
    assert (last.inputs, last.out_channels) == (((1, 8, 4, 64),), 2)
    sizes = prunable.operations.sizes(prunable.vector({})[None])[0]
    assert tuple(sizes[list(mapped.columns[-1])]) == coordinates(last)
