"""Streams through norms over all channels: locked, or pruned with other statistics."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from netadapt.pruning import PrunableModel, reshaped, trace

IMAGE = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
OPTION = "--allow-approximate prunes them"


class ChannelsFirst(nn.Module):
    """The LayerNorm over channels as ConvNeXt's authors write it."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.rand(channels) + 0.5)
        self.bias = nn.Parameter(torch.rand(channels))
        self.data_format = "channels_first"

    def forward(self, x: Tensor) -> Tensor:
        centred = x - x.mean(1, keepdim=True)
        scaled = centred / (centred.pow(2).mean(1, keepdim=True) + 1e-6).sqrt()
        return self.weight[:, None, None] * scaled + self.bias[:, None, None]


ChannelsFirst.__name__ = "LayerNorm"


class Last(nn.Module):
    """A norm over the last dimension, for images."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.norm = norm

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)
        return found


class Convolutions(nn.Module):
    """A stream with a layer scale, as ConvNeXt's."""

    def __init__(self, norm: nn.Module) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 12, 4, 4)
        self.depthwise = nn.Conv2d(12, 12, 3, padding=1, groups=12)
        self.norm = norm
        self.widen, self.narrow = nn.Conv2d(12, 16, 1), nn.Conv2d(16, 12, 1)
        self.gamma = nn.Parameter(torch.rand(12) + 0.5)
        self.head = nn.Conv2d(12, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = x + self.gamma[:, None, None] * self.narrow(
            F.gelu(self.widen(self.norm(self.depthwise(x))))
        )
        return self.head(x)


NORMS = {
    "layer_norm": lambda: Last(nn.LayerNorm(12)),
    "rms_norm": lambda: Last(nn.RMSNorm(12)),
    "group_norm": lambda: nn.GroupNorm(1, 12),
    "written_out": lambda: ChannelsFirst(12),
}


def holds(prunable: PrunableModel, widths: dict[str, int]) -> bool:
    random = np.random.default_rng(0)
    scores = {name: random.random(group.width) for name, group in prunable.groups.items()}
    pruned, masked = prunable.pruned(widths, scores), prunable.masked(widths, scores)
    with torch.no_grad():
        got, wanted = pruned.double()(IMAGE.double()), masked.double()(IMAGE.double())
        whole = prunable.model.double()(IMAGE.double())
        prunable.model.float()
    return torch.allclose(got, wanted, rtol=1e-9, atol=1e-12) and not torch.allclose(got, whole)


@pytest.mark.parametrize("name", NORMS)
def test_the_stream_is_pruned_only_if_that_is_allowed(name: str) -> None:
    torch.manual_seed(0)
    model = Convolutions(NORMS[name]()).eval()
    exact = trace(model, IMAGE)
    assert exact.widths == {"widen": 16}
    assert OPTION in exact.locked["stem"]
    prunable = trace(model, IMAGE, allow_approximate=True)
    assert prunable.widths == {"stem": 12, "widen": 16}
    assert prunable.groups["stem"].producers == ("stem", "depthwise", "narrow")
    widths = {"stem": 5, "widen": 7}
    assert holds(prunable, widths)
    pruned = prunable.pruned(widths)
    assert pruned.gamma.shape == (5,)
    shell = reshaped(model, IMAGE, widths)
    shell.load_state_dict(pruned.state_dict())
    with torch.no_grad():
        assert torch.equal(shell.eval()(IMAGE), pruned.eval()(IMAGE))
    again = trace(pruned, IMAGE, allow_approximate=True)
    assert again.widths == widths
    assert holds(again, {"stem": 2})
    assert prunable.parameter_count(widths) == sum(p.numel() for p in pruned.parameters())


def test_the_stream_of_a_transformer_takes_tokens_and_positions_with_it() -> None:
    torch.manual_seed(0)
    model = VisionTransformer(16, 4, num_classes=3, embed_dim=24, depth=2, num_heads=3, mlp_ratio=2)
    exact = trace(model.eval(), IMAGE)
    assert OPTION in exact.locked["patch_embed.proj"]
    prunable = trace(model, IMAGE, allow_approximate=True)
    assert set(prunable.groups) - set(exact.groups) == {"patch_embed.proj"}
    widths = {"patch_embed.proj": 10, "blocks.0.attn.qkv": 24, "blocks.1.mlp.fc1": 7}
    assert holds(prunable, widths)
    pruned = prunable.pruned(widths)
    assert prunable.parameter_count(widths) == sum(p.numel() for p in pruned.parameters())
    assert pruned.cls_token.shape == (1, 1, 10)
    assert pruned.pos_embed.shape == (1, 17, 10)
    assert pruned.norm.normalized_shape == (10,)


def test_a_layer_scale_alone_locks_nothing() -> None:
    torch.manual_seed(0)
    model = Convolutions(nn.BatchNorm2d(12)).eval()
    prunable = trace(model, IMAGE)
    assert prunable.widths == {"stem": 12, "widen": 16}
    assert holds(prunable, {"stem": 5})
