"""The workloads of exported graphs, which upsample last."""

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from netadapt.latency.fusion import FUSIONS, INT8_FUSIONS, rules_of
from netadapt.latency.workloads import coordinates, workload_map
from netadapt.pruning import PrunableModel, trace


class Head(nn.Module):
    """A nearest upsampling before a convolution."""

    def __init__(self, kernel: int, mode: str, *, read_twice: bool = False) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.last = nn.Conv2d(8, 2, kernel, padding=kernel // 2)
        self.mode, self.read_twice = mode, read_twice

    def forward(self, image: Tensor) -> Tensor:
        wide = F.interpolate(self.first(image), scale_factor=2, mode=self.mode)
        return self.last(wide) + wide[:, :2] if self.read_twice else self.last(wide)


def test_the_head_computes_the_pixels_before_the_upsampling(small: PrunableModel) -> None:
    """By hand, of the tiny network: 32x32 pixels of 64 channels, upsampled to 64x64."""
    mapped = workload_map(small.operations, INT8_FUSIONS["onnxruntime"], "int8")
    *_, upsampling, head = mapped.at(small.vector({}))
    assert (head.kind, head.inputs, head.out_channels) == ("conv2d", ((1, 64, 32, 32),), 1)
    assert upsampling.kind == "upsample_nearest"
    assert (upsampling.inputs, upsampling.out_channels) == (((1, 1, 32, 32),), 1)
    assert upsampling.stride == (2, 2)
    assert {one.dtype for one in mapped.at(small.vector({}))} == {"int8"}


def test_onnxruntime_adds_int8_in_a_kernel_of_its_own(small: PrunableModel) -> None:
    kinds = [
        one.kind
        for one in workload_map(small.operations, rules_of("onnxruntime", "int8")).at(
            small.vector({})
        )
    ]
    assert kinds == ["conv2d"] * 4 + ["add", "upsample_nearest", "conv2d"]


@settings(max_examples=10, deadline=None)
@given(data=st.data())
@pytest.mark.parametrize("runtime", sorted(INT8_FUSIONS))
def test_channels_stand_in_the_columns_that_say_so(
    thin: PrunableModel, runtime: str, data: st.DataObject
) -> None:
    widths = {name: data.draw(st.integers(2, full)) for name, full in thin.widths.items()}
    vector = thin.vector(widths)
    mapped = workload_map(thin.operations, INT8_FUSIONS[runtime], "int8")
    assert len(mapped.moved) == 1
    sizes = thin.operations.sizes(vector[None])[0]
    for columns, one in zip(mapped.columns, mapped.at(vector), strict=True):
        assert tuple(sizes[list(columns)].tolist()) == coordinates(one)


@pytest.mark.parametrize(
    "model",
    [Head(3, "nearest"), Head(1, "bilinear"), Head(1, "nearest", read_twice=True)],
    ids=["3x3", "bilinear", "shared"],
)
def test_what_the_exporter_leaves_in_place_stays(model: nn.Module) -> None:
    prunable = trace(model.eval(), torch.rand(1, 3, 16, 16))
    mapped = workload_map(prunable.operations, INT8_FUSIONS["openvino"])
    rules = FUSIONS["openvino"].model_copy(update={"upsampling_last": False})
    plain = workload_map(prunable.operations, rules)
    assert mapped.moved == ()
    assert mapped.at(prunable.vector({})) == plain.at(prunable.vector({}))
