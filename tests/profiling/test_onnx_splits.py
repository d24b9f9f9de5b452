"""Networks that split their activations are timed in onnxruntime."""

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from quick_profile import assert_profiles
from torch import Tensor, nn
from torch.nn import functional as F

from netadapt.profiling.onnx_model import OnnxTemplate
from netadapt.profiling.traced import TracedNetwork
from netadapt.pruning import trace


class Chunks(nn.Module):
    """Gates one half of the channels by the other; the last third is not used."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 32, 3, 2, 1)
        self.middle = nn.Conv2d(16, 24, 3, 1, 1)
        self.head = nn.Conv2d(8, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        value, gate = self.stem(x).chunk(2, 1)
        first, second, _ = self.middle(F.gelu(value) * gate).chunk(3, 1)
        return F.softplus(self.head(first + second))


class Splits(nn.Module):
    """Splits into parts of different sizes, which cannot be pruned."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 24, 3, 2, 1)
        self.left = nn.Conv2d(8, 16, 1)
        self.right = nn.Conv2d(16, 16, 1)
        self.head = nn.Conv2d(16, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        left, right = torch.split(self.stem(x), [8, 16], 1)
        return self.head(F.relu(self.left(left) + self.right(right)))


@pytest.mark.parametrize("network", [Chunks, Splits])
def test_a_split_network_answers_at_every_width(network: type[nn.Module]) -> None:
    prunable = trace(network().eval(), torch.rand(1, 3, 16, 16))
    template = OnnxTemplate(TracedNetwork.of(prunable))
    narrow = {name: max(1, width // 2) for name, width in prunable.widths.items()}
    for widths in ({}, narrow):
        model = prunable.pruned(widths)
        with torch.no_grad():
            wanted = model(prunable.example_input).numpy()
        content = template.filled(model).SerializeToString()
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
        (got,) = session.run(None, dict(zip(template.input_names, template.example, strict=True)))
        np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-5)


def test_a_chunked_network_is_profiled(tmp_path: Path) -> None:
    prunable = trace(Chunks().eval(), torch.rand(1, 3, 32, 32))
    assert_profiles(prunable, "onnxruntime", tmp_path)
