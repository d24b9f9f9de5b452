"""Workloads of networks that keep their channels elsewhere than second."""

import timm
import torch

from netadapt.latency.fusion import FUSIONS
from netadapt.latency.workloads import coordinates, family, workload_map
from netadapt.pruning import trace


def test_workloads_of_a_channels_last_network_differ_in_channels_alone() -> None:
    model = timm.create_model(
        "convnext_atto", depths=(1, 1, 1, 1), dims=(16, 24, 32, 48), conv_mlp=False
    ).eval()
    prunable = trace(model, torch.rand(1, 3, 32, 32))
    assert len(prunable.groups) == 4  # the hidden layers of the blocks
    for runtime in ("torch", "onnxruntime"):
        workloads = workload_map(prunable.operations, FUSIONS[runtime])
        full = workloads.at(prunable.vector({}))
        halves = {name: width // 2 for name, width in prunable.widths.items()}
        narrow = workloads.at(prunable.vector(halves))
        assert [family(one) for one in full] == [family(one) for one in narrow]
        activations = [w for w in zip(full, narrow, strict=True) if w[0].activation == "gelu"]
        widths = [coordinates(one) for one, _ in activations]
        assert widths[0] == (64,)
        assert [coordinates(other) for _, other in activations] == [(w // 2,) for (w,) in widths]


def test_columns_of_the_sizes_row_are_the_coordinates() -> None:
    model = timm.create_model("convnext_atto", depths=(1, 1, 1, 1), dims=(16, 24, 32, 48)).eval()
    prunable = trace(model, torch.rand(1, 3, 32, 32))
    workloads = workload_map(prunable.operations, FUSIONS["torch"])
    row = prunable.operations.sizes(prunable.vector({})[None])[0]
    for one, columns in zip(workloads.at(prunable.vector({})), workloads.columns, strict=True):
        assert coordinates(one) == tuple(row[list(columns)])
