"""What no output needs is in no exported file, and so in no table of a runtime that reads one."""

from pathlib import Path

import pytest
import torch
from quick_profile import assert_profiles, target
from torch import Tensor, nn

from netadapt.latency.fusion import FUSIONS
from netadapt.latency.table import LatencyTable
from netadapt.latency.workloads import workload_map
from netadapt.models import with_output
from netadapt.pruning import PrunableModel, trace


class Maps(nn.Module):
    """Depth, and beside it normals of layers that take longer."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Conv2d(3, 32, 3, 2, 1)
        self.depth = nn.Conv2d(32, 1, 1)
        self.normals = nn.Sequential(
            nn.Conv2d(32, 48, 5, padding=2), nn.Upsample(scale_factor=2), nn.Conv2d(48, 3, 1)
        )

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        body = self.body(image).relu()
        log = torch.zeros(len(body), 32)
        log[:, :] = body.mean((2, 3))  # written in place, and needed
        return {"depth": self.depth(body) + log.sum(), "normals": self.normals(body)}


def traced(output: str | None) -> PrunableModel:
    torch.manual_seed(0)
    model = Maps() if output is None else with_output(Maps(), output)
    return trace(model.eval(), torch.rand(1, 3, 16, 16))


def convolved(prunable: PrunableModel, runtime: str) -> list[int]:
    """The output channels of the convolutions in a table."""
    mapped = workload_map(prunable.operations, FUSIONS[runtime])
    row = prunable.vector({})
    return sorted(one.out_channels for one in mapped.at(row) if one.kind == "conv2d")


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino", "tensorrt"])
def test_layers_behind_maps_that_do_not_count_have_no_workloads(runtime: str) -> None:
    assert convolved(traced(None), runtime) == [1, 3, 32, 48]
    assert convolved(traced("depth"), runtime) == [1, 32]
    assert convolved(traced("normals"), runtime) == [3, 32, 48]
    assert convolved(traced("depth"), "torch") == [1, 3, 32, 48]  # PyTorch runs them


def test_a_network_of_which_one_map_counts_is_profiled(tmp_path: Path) -> None:
    assert_profiles(traced("depth"), "onnxruntime", tmp_path)
    rows = LatencyTable.open(tmp_path, target("onnxruntime")).rows
    assert {one.kernel for one in rows if one.kind == "conv2d"} == {(3, 3), (1, 1)}


def test_an_operation_is_needed_if_memory_that_it_wrote_is_read() -> None:
    unused = {op.module for op in traced("depth").operations.operations if op.unused}
    assert unused == {"normals.0", "normals.1", "normals.2"}
    assert not any(op.unused for op in traced(None).operations.operations)
