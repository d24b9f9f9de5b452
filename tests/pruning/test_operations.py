import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from small_networks import NETWORKS, Network, example, traced
from torch import Tensor, nn

from netadapt.depth.models.fastdepth import PRESETS, FastDepth
from netadapt.pruning import PrunableModel, trace
from netadapt.pruning.operations import record_operations


@st.composite
def widths_of(draw: st.DrawFn, prunable: PrunableModel) -> dict[str, int]:
    return {name: draw(st.integers(1, full)) for name, full in prunable.widths.items()}


def naive_macs(model: nn.Module, image: Tensor) -> int:
    """Count what each layer multiplies, from the tensors that go in and out."""
    counts: list[int] = []

    def count(module: nn.Module, args: tuple[Tensor, ...], output: Tensor) -> None:
        if isinstance(module, nn.ConvTranspose2d):  # every input meets every filter once
            counts.append(args[0].numel() * module.weight[0].numel())
        elif isinstance(module, nn.Conv2d | nn.Linear):  # every output is one filter's sum
            counts.append(output.numel() * module.weight[0].numel())

    model = copy.deepcopy(model)
    for module in model.modules():
        module.register_forward_hook(count)
    with torch.no_grad():
        model(image)
    return sum(counts)


@pytest.mark.parametrize("network", NETWORKS, ids=str)
@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_the_linear_map_gives_the_operations_of_the_pruned_network(
    network: Network, data: st.DataObject
) -> None:
    prunable = traced(network)
    widths = data.draw(widths_of(prunable))
    pruned = prunable.pruned(widths)
    recorded, _ = record_operations(pruned, prunable.example_input)
    assert prunable.operations.at(prunable.vector(widths)) == tuple(recorded)
    expected = naive_macs(pruned, prunable.example_input)
    assert prunable.operations.macs(prunable.vector(widths)) == expected


@settings(max_examples=12, deadline=None)
@given(data=st.data())
def test_the_linear_map_gives_the_operations_of_a_pruned_fastdepth(
    thin: PrunableModel, data: st.DataObject
) -> None:
    widths = data.draw(widths_of(thin))
    built = FastDepth(widths)
    recorded, _ = record_operations(built, thin.example_input)
    assert thin.operations.at(thin.vector(widths)) == tuple(recorded)
    assert thin.operations.macs(thin.vector(widths)) == naive_macs(built, thin.example_input)


@settings(max_examples=20, deadline=None)
@given(data=st.data(), count=st.integers(1, 5))
def test_sizes_of_a_batch_are_those_of_each(
    thin: PrunableModel, data: st.DataObject, count: int
) -> None:
    rows = np.array([thin.vector(data.draw(widths_of(thin))) for _ in range(count)])
    sizes = thin.operations.sizes(rows)
    for row, batched in zip(rows, sizes, strict=True):
        alone = [size for operation in thin.operations.at(row) for size in operation.sizes]
        assert batched.tolist() == alone


def test_fastdepth_costs_what_the_paper_says() -> None:
    image = torch.rand(1, 3, 224, 224)
    full = trace(FastDepth(), image)
    for widths, giga, model in (
        ({}, 0.737, FastDepth()),
        (PRESETS["pruned"], 0.366, FastDepth("pruned")),
    ):
        macs = full.operations.macs(full.vector(widths))
        assert macs == naive_macs(model, image)
        assert round(macs / 1e9, 3) == giga


def test_operations_are_named_after_the_modules_that_run_them(thin: PrunableModel) -> None:
    operations = thin.operations.operations
    convolutions = {op.module for op in operations if op.kind == "conv2d"}
    modules = {n for n, m in thin.model.named_modules() if isinstance(m, nn.Conv2d)}
    assert convolutions == modules
    for place, operation in enumerate(operations):
        assert all(-1 <= source < place for source in operation.sources)
        for source, shape in zip(operation.sources, operation.inputs, strict=True):
            if source >= 0:
                assert operations[source].output == shape


def test_recording_needs_no_batch_statistics_and_no_gradients() -> None:
    model = traced(NETWORKS[0]).model
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    record_operations(model, example((1, 3, 4, 4)).double())
    assert all(torch.equal(before[name], tensor) for name, tensor in model.state_dict().items())
