"""The ONNX graph that serves every width, on layers that users' own networks have."""

import onnxruntime
import pytest
import torch
from torch import Tensor, nn

from netadapt.profiling.onnx_model import OnnxTemplate
from netadapt.profiling.traced import TracedNetwork
from netadapt.pruning import trace


class Unusual(nn.Module):
    """Weight norm, groups, a depth multiplier, transposed depthwise, PixelShuffle, two outputs."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 8, 3, padding=1))
        self.grouped = nn.Conv2d(8, 8, 3, padding=1, groups=2)
        self.multiplied = nn.Conv2d(8, 16, 3, padding=1, groups=8)
        self.widen = nn.ConvTranspose2d(16, 16, 2, 2, groups=16)
        self.deep = nn.Conv2d(16, 16, 1)
        self.head = nn.Conv2d(4, 2, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = torch.relu(self.grouped(torch.relu(self.stem(x))))
        x = torch.relu(self.widen(self.multiplied(x)))
        x = torch.nn.functional.pixel_shuffle(self.deep(x), 2)
        return self.head(x), torch.sigmoid(self.head(torch.relu(x)))


@pytest.mark.parametrize("widths", [{}, {"stem": 6, "grouped": 4, "deep": 8}])
def test_one_graph_answers_as_torch_at_all_widths(widths: dict[str, int]) -> None:
    torch.manual_seed(0)
    prunable = trace(Unusual().eval(), torch.rand(1, 3, 8, 8))
    template = OnnxTemplate(TracedNetwork.of(prunable))
    pruned = prunable.pruned(widths)
    session = onnxruntime.InferenceSession(template.filled(pruned).SerializeToString())
    outputs = session.run(None, {session.get_inputs()[0].name: prunable.example_input.numpy()})
    with torch.no_grad():
        wanted = pruned(prunable.example_input)
    for got, truth in zip(outputs, wanted, strict=True):
        assert torch.allclose(torch.from_numpy(got), truth, atol=1e-6)
