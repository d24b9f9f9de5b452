"""The same answers from fewer pixels."""

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from netadapt.deployment.exporter import exported_program
from netadapt.deployment.rewrites import commute_upsampling, simplified


class Head(nn.Module):
    """A nearest upsampling and a convolution behind it."""

    def __init__(
        self, kernel: int = 1, mode: str = "nearest", activation: str = "relu", factor: int = 2
    ) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 6, 3, padding=1)
        self.conv = nn.Conv2d(6, 2, kernel, padding=kernel // 2, bias=False)
        self.norm = nn.BatchNorm2d(2)
        self.mode, self.activation, self.factor = mode, activation, factor

    def upsampled(self, image: Tensor) -> Tensor:
        return F.interpolate(self.first(image), scale_factor=self.factor, mode=self.mode)

    def forward(self, image: Tensor) -> Tensor:
        x = self.norm(self.conv(self.upsampled(image)))
        return getattr(torch, self.activation)(x)


class ReadTwice(Head):
    def forward(self, image: Tensor) -> Tensor:
        wide = self.upsampled(image)
        return self.conv(wide) + wide[:, :2]


def graph_of(model: nn.Module, image: Tensor) -> onnx.ModelProto:
    return simplified(exported_program(model.eval(), image, optimize=True).model_proto)


def answer(graph: onnx.ModelProto, image: Tensor) -> np.ndarray:
    session = onnxruntime.InferenceSession(
        graph.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {session.get_inputs()[0].name: image.numpy()})[0]


@settings(max_examples=3, deadline=None)
@given(
    activation=st.sampled_from(["relu", "sigmoid", "tanh"]),
    factor=st.sampled_from([2, 3]),
    seed=st.integers(0, 99),
)
def test_a_pointwise_layer_computes_before_the_upsampling(
    activation: str, factor: int, seed: int
) -> None:
    torch.manual_seed(seed)
    model, image = Head(activation=activation, factor=factor), torch.rand(1, 3, 8, 10)
    graph = graph_of(model, image)
    before = answer(graph, image)
    assert commute_upsampling(graph) == 1
    onnx.checker.check_model(graph, full_check=True)
    np.testing.assert_allclose(answer(graph, image), before, rtol=1e-6, atol=1e-6)
    assert graph.graph.node[-1].op_type == "Resize"  # activations moved too


@pytest.mark.parametrize(
    "model", [Head(kernel=3), Head(mode="bilinear"), ReadTwice()], ids=["3x3", "bilinear", "shared"]
)
def test_what_would_change_the_answer_stays(model: nn.Module) -> None:
    image = torch.rand(1, 3, 8, 8)
    graph = graph_of(model, image)
    before = graph.SerializeToString()
    assert commute_upsampling(graph) == 0
    assert graph.SerializeToString() == before


def test_batch_norms_are_folded() -> None:
    graph = graph_of(Head(), torch.rand(1, 3, 8, 8))
    assert "BatchNormalization" not in {node.op_type for node in graph.graph.node}
