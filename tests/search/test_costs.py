from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from netadapt.latency.predictor import LatencyPredictor
from netadapt.latency.table import LatencyTable
from netadapt.pruning import trace
from netadapt.search.costs import Costs, Counts
from netadapt.training.checkpoint import load_checkpoint


class Branches(nn.Module):
    """Tensors that live long: a skip, a concat, a transposed convolution, a linear layer."""

    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.ReLU())
        self.deep = nn.Sequential(nn.Conv2d(16, 24, 3, 2, 1), nn.ReLU())
        self.depthwise = nn.Conv2d(24, 24, 3, padding=1, groups=24, bias=False)
        self.up = nn.ConvTranspose2d(24, 8, 2, 2)
        self.mix = nn.Conv2d(24, 16, 1)
        self.head = nn.Linear(16, 5)

    def forward(self, x):
        skip = self.stem(x)
        deep = self.up(self.depthwise(self.deep(skip)))
        mixed = self.mix(torch.cat([skip, deep], 1)) + skip
        return self.head(mixed.mean((2, 3)))


@pytest.fixture(scope="module")
def branches():
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        return trace(Branches().eval(), torch.rand(2, 3, 32, 32))


def networks(prunable, count=6):
    rng = np.random.default_rng(0)
    rows = [[rng.integers(1, w + 1) for w in prunable.widths.values()] for _ in range(count)]
    return np.array([list(prunable.widths.values()), *rows])


NO_TABLE: Any = None  # these costs need no predictor


def peak_floats(operations, image):
    """The most floats alive at once, tensor by tensor: made, counted, let go of."""
    readers: dict[int, list[int]] = {-1: [], **{place: [] for place in range(len(operations))}}
    for place, operation in enumerate(operations):
        for source in operation.sources:
            readers[source].append(place)
    alive, peak = {-1: image}, 0
    for place, operation in enumerate(operations):
        alive[place] = int(np.prod(operation.output))
        peak = max(peak, sum(alive.values()))
        for tensor in list(alive):
            if readers[tensor] and max(readers[tensor]) <= place:
                del alive[tensor]
    return peak


@pytest.mark.parametrize("name", ["branches", "thin"])
def test_macs_parameters_and_memory_are_those_of_the_network_itself(name, request):
    prunable = request.getfixturevalue(name)
    costs = Costs(prunable, NO_TABLE)
    rows = networks(prunable)
    macs, params, mb = (costs.batch(kind, rows) for kind in ("macs", "params", "mb"))
    image = prunable.example_input.numel()
    for place, row in enumerate(rows):
        network = prunable.pruned(dict(zip(prunable.widths, row.tolist(), strict=True)))
        weights = sum(parameter.numel() for parameter in network.parameters())
        operations = prunable.operations.at(row)
        assert macs[place] == prunable.operations.macs(row)
        assert params[place] == weights
        assert mb[place] == pytest.approx(4e-6 * (weights + peak_floats(operations, image)))


def test_a_skip_is_counted_for_as_long_as_it_lives(branches):
    # at 32x32, batch 2: the skip (2, 16, 16, 16), its convolution's and its norm's tensors
    operations = branches.operations.operations
    assert peak_floats(operations, branches.example_input.numel()) >= 3 * 2 * 16 * 16 * 16
    skip = next(i for i, op in enumerate(operations) if op.kind == "add")
    live = Counts(branches, branches.operations, branches.vector({}))._live
    stem = next(i for i, op in enumerate(operations) if op.kind == "activation")
    assert live[stem : skip + 1, stem + 1].all()
    assert not live[skip + 1 :, stem + 1].any()


def test_latency_is_the_predictors_and_meets_no_limit_where_it_is_unknown(elsewhere):
    prunable = trace(load_checkpoint(elsewhere["model"]), torch.rand(1, 3, 32, 32))
    predictor = LatencyPredictor(prunable, LatencyTable.load(elsewhere["lut"]))
    costs = Costs(prunable, predictor)
    full = prunable.vector({})
    outside = np.ones_like(full)
    rows = np.stack([full, outside])
    assert costs.batch("ms", rows)[0] == predictor({})
    assert np.isnan(costs.batch("ms", rows)[1])
    assert costs.meet(rows, {"ms": 1e9}).tolist() == [True, False]
    assert costs.meet(rows, {"ms": 1e9, "params": 1}).tolist() == [False, False]
    load = costs.load(rows, {"ms": 2 * predictor({}), "macs": 4 * prunable.operations.macs(full)})
    assert load[0] == pytest.approx(0.5)
