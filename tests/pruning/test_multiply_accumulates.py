"""What is counted agrees with torch's own counter, which looks at every call, at any widths."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode, sdpa_flop_count

from netadapt.latency.predictor import LatencyPredictor
from netadapt.pruning import PrunableModel, trace
from netadapt.search.costs import Costs

IMAGE = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
FUSED = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu


def attended(q: Tensor, k: Tensor, v: Tensor, *_: object, **__: object) -> int:
    return sdpa_flop_count(q, k, v)


def executed(model: nn.Module) -> float:
    """Return the multiply-accumulates that torch's counter sees; one is two of its operations."""
    counter = FlopCounterMode(display=False, custom_mapping={FUSED: attended})
    with torch.no_grad(), counter:
        model.eval()(IMAGE)
    return counter.get_total_flops() / 2


def transformer(fused: bool) -> nn.Module:
    model = VisionTransformer(16, 4, num_classes=3, embed_dim=24, depth=2, num_heads=3, mlp_ratio=2)
    for block in model.blocks:
        block.attn.fused_attn = fused
    return model


class Products(nn.Module):
    """Products of activations, of activations and constants, and sums with products."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.after = nn.Conv2d(3, 12, 3, padding=1), nn.Conv2d(12, 8, 1)
        self.widen = nn.ConvTranspose2d(8, 4, 2, 2, groups=2)
        self.mixing = nn.Parameter(torch.rand(256, 5))
        self.mixed, self.head = nn.Linear(5, 6), nn.Linear(6, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.after(self.stem(x).relu())
        rows = y.flatten(2)
        alike = torch.baddbmm(rows.new_zeros(1), rows.transpose(1, 2), rows)
        near = self.mixing.t() @ (alike.softmax(-1) @ rows.transpose(1, 2))
        wide = self.widen(y).mean((1, 2, 3))
        return self.head(self.mixed(near.mean(2)).relu()) * wide[:, None]


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "fused attention": lambda: transformer(True),
    "attention": lambda: transformer(False),
    "products": Products,
}


class Free(LatencyPredictor):
    """Costs are asked for, latencies are not."""

    def __init__(self) -> None:
        pass


def any_widths(prunable: PrunableModel, random: np.random.Generator) -> dict[str, int]:
    return {
        name: group.step * int(random.integers(1, group.width // group.step + 1))
        for name, group in prunable.groups.items()
    }


@pytest.mark.parametrize("name", NETWORKS)
def test_products_of_activations_count(name: str) -> None:
    torch.manual_seed(0)
    prunable = trace(NETWORKS[name]().eval(), IMAGE)
    random = np.random.default_rng(0)
    choices = [{}, *(any_widths(prunable, random) for _ in range(3))]
    rows = np.array([prunable.vector(widths) for widths in choices])
    counted = Costs(prunable, Free()).batch("macs", rows)
    for widths, row, count in zip(choices, rows, counted, strict=True):
        assert count == prunable.operations.macs(row) == executed(prunable.pruned(widths))


def test_both_products_of_attention_count() -> None:
    """As written down by hand: every query meets every key, and then every value."""

    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.q, self.k, self.v = nn.Linear(6, 8), nn.Linear(6, 8), nn.Linear(6, 10)

        def forward(self, x: Tensor) -> Tensor:
            found = F.scaled_dot_product_attention(self.q(x), self.k(x[:, :3]), self.v(x[:, :3]))
            return found.sum((1, 2))

    traced = trace(Attention(), torch.rand(2, 5, 6))
    layers = 2 * (5 * 6 * 8 + 3 * 6 * 8 + 3 * 6 * 10)
    assert traced.operations.macs(traced.vector({})) == layers + 2 * 5 * 3 * (8 + 10)


def test_the_gates_of_an_lstm_count() -> None:
    class Memory(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.memory, self.head = nn.LSTM(6, 4, batch_first=True), nn.Linear(4, 1)

        def forward(self, x: Tensor) -> Tensor:
            found: Tensor = self.head(self.memory(x)[0])
            return found

    traced = trace(Memory(), torch.rand(2, 5, 6))
    assert traced.operations.macs(traced.vector({})) == 2 * 5 * (4 * 4 * (6 + 4) + 4)
