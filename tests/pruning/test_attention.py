"""The heads of an attention block are one group, whichever way it is written."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from timm.models.vision_transformer import Attention, VisionTransformer
from torch import Tensor, nn

from netadapt.pruning import PrunableModel, reshaped, trace
from netadapt.pruning.attention import PlainAttention

IMAGE = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
STREAM = "all of its channels are standardised together by norm (--allow-approximate prunes them)"
Attend = Callable[[Tensor, Tensor, Tensor], Tensor]


def plain(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return (q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).softmax(-1) @ v


def contracted(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    scores = torch.einsum("bhid,bhjd->bhij", q, k) * q.shape[-1] ** -0.5
    return torch.einsum("bhij,bhjd->bhid", scores.softmax(-1), v)


def rotated(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    half = q.shape[-1] // 2
    angle = 0.1 * torch.arange(q.shape[-2])[:, None] * torch.arange(q.shape[-1])

    def turned(x: Tensor) -> Tensor:
        return x * angle.cos() + torch.cat([-x[..., half:], x[..., :half]], -1) * angle.sin()

    return F.scaled_dot_product_attention(turned(q), turned(k), v)


class Biased(nn.Module):
    """Adds a learned value for each head and pair of positions, as windowed attention does."""

    def __init__(self) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.rand(3, 16, 16))

    def forward(self, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        return F.scaled_dot_product_attention(q, k, v, attn_mask=self.table[None])


class Separate(nn.Module):
    """Queries, keys and values of layers of their own."""

    def __init__(self, attend: Attend, key_heads: int = 3) -> None:
        super().__init__()
        self.num_heads = 3
        self.query = nn.Linear(24, 24)
        self.key, self.value = nn.Linear(24, 8 * key_heads), nn.Linear(24, 8 * key_heads)
        self.proj = nn.Linear(24, 24)
        self.attend = attend

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = (
            layer(x).view(*x.shape[:2], -1, 8).transpose(1, 2)
            for layer in (self.query, self.key, self.value)
        )
        return self.proj(self.attend(q, k, v).transpose(1, 2).flatten(2))


class Block(nn.Module):
    def __init__(self, attention: nn.Module) -> None:
        super().__init__()
        self.patch, self.norm = nn.Conv2d(3, 24, 4, 4), nn.LayerNorm(24)
        self.attention, self.head = attention, nn.Linear(24, 1)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patch(x).flatten(2).transpose(1, 2)
        return self.head(tokens + self.attention(self.norm(tokens)))


def timms(fused: bool, **options: Any) -> nn.Module:
    attention: Any = Attention(24, num_heads=3, **options)
    attention.fused_attn = fused
    return attention


ATTENTION: dict[str, Callable[[], nn.Module]] = {
    "timm": lambda: timms(True, qkv_bias=True),
    "timm_unfused": lambda: timms(False),
    "timm_normed": lambda: timms(True, qk_norm=True, norm_layer=nn.LayerNorm),
    "timm_gated": lambda: timms(True, gated=True),
    "fused": lambda: Separate(F.scaled_dot_product_attention),
    "plain": lambda: Separate(plain),
    "einsum": lambda: Separate(contracted),
    "rotated": lambda: Separate(rotated),
}


def holds(prunable: PrunableModel, widths: dict[str, int], random: np.random.Generator) -> bool:
    scores = {name: random.random(group.width) for name, group in prunable.groups.items()}
    pruned, masked = prunable.pruned(widths, scores), prunable.masked(widths, scores)
    with torch.no_grad():
        return torch.allclose(
            pruned.double()(IMAGE.double()), masked.double()(IMAGE.double()), rtol=1e-9, atol=1e-12
        )


@pytest.mark.parametrize("name", ATTENTION)
def test_heads_go_one_at_a_time_and_answer_as_masked(name: str) -> None:
    torch.manual_seed(0)
    model = Block(ATTENTION[name]()).eval()
    prunable = trace(model, IMAGE)
    (group,) = prunable.groups.values()
    assert group.width // group.step == 3
    assert set(prunable.locked) == {"patch", "attention.proj", "head"}
    assert prunable.locked["attention.proj"] == STREAM
    random = np.random.default_rng(0)
    for heads in (1, 2):
        widths = {group.name: heads * group.step}
        pruned = prunable.pruned(widths)
        assert pruned.attention.num_heads == heads
        assert pruned.attention.proj.in_features == 8 * heads
        assert holds(prunable, widths, random)
        shell = reshaped(model, IMAGE, widths)
        shell.load_state_dict(pruned.state_dict())
        with torch.no_grad():
            assert torch.equal(shell.eval()(IMAGE), pruned.eval()(IMAGE))
    again = trace(prunable.pruned({group.name: 2 * group.step}), IMAGE)
    assert again.widths == {group.name: 2 * group.step}
    assert holds(again, {group.name: group.step}, random)


def test_what_all_heads_share_is_locked_and_the_heads_are_not() -> None:
    shared = trace(Block(Separate(plain, key_heads=1)).eval(), IMAGE)
    assert shared.locked["attention.key"] == "every head reads its channels"
    assert shared.groups["attention.query"].step == 8


def test_a_parameter_with_a_value_for_each_head_goes_with_the_heads() -> None:
    torch.manual_seed(0)
    prunable = trace(Block(Separate(Biased())).eval(), IMAGE)
    assert prunable.widths == {"attention.query": 24}
    pruned = prunable.pruned({"attention.query": 16}, {"attention.query": [1, 0, 1]})
    whole, table = prunable.model.attention.attend.table, pruned.attention.attend.table
    assert torch.equal(table, whole[[0, 2]])
    assert holds(prunable, {"attention.query": 8}, np.random.default_rng(0))


def test_queries_that_share_keys_go_with_them() -> None:
    class Grouped(Separate):
        def __init__(self) -> None:
            super().__init__(plain)
            self.num_heads, self.num_kv_heads = 6, 3
            self.query, self.proj = nn.Linear(24, 48), nn.Linear(48, 24)

        def forward(self, x: Tensor) -> Tensor:
            size = x.shape[:2]
            q = self.query(x).view(*size, self.num_heads, 8).transpose(1, 2)
            k, v = (
                layer(x).view(*size, self.num_kv_heads, 8).transpose(1, 2).repeat_interleave(2, 1)
                for layer in (self.key, self.value)
            )
            return self.proj(self.attend(q, k, v).transpose(1, 2).flatten(2))

    torch.manual_seed(0)
    prunable = trace(Block(Grouped()).eval(), IMAGE)
    assert prunable.widths == {"attention.query": 48}
    assert prunable.groups["attention.query"].step == 16
    pruned = prunable.pruned({"attention.query": 16})
    assert (pruned.attention.num_heads, pruned.attention.num_kv_heads) == (2, 1)
    assert holds(prunable, {"attention.query": 32}, np.random.default_rng(0))


def test_the_width_of_values_goes_alone_where_there_is_one_head() -> None:
    class Single(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.q, self.k, self.v = nn.Linear(24, 16), nn.Linear(24, 16), nn.Linear(24, 20)
            self.proj = nn.Linear(20, 24)

        def forward(self, x: Tensor) -> Tensor:
            scores = self.q(x) @ self.k(x).transpose(1, 2)
            found: Tensor = self.proj(scores.softmax(-1) @ self.v(x))
            return found

    prunable = trace(Block(Single()).eval(), IMAGE)
    assert prunable.widths == {"attention.v": 20}
    assert prunable.locked["attention.q"] == "attention reads the channels of a head as one"


def test_a_vision_transformer_has_its_heads_and_hidden_widths_as_groups() -> None:
    torch.manual_seed(0)
    model = VisionTransformer(16, 4, num_classes=3, embed_dim=24, depth=2, num_heads=3, mlp_ratio=2)
    prunable = trace(model.eval(), IMAGE)
    expected = {f"blocks.{n}.{part}": width for n in (0, 1) for part, width in
                (("attn.qkv", 72), ("mlp.fc1", 48))}  # fmt: skip
    assert prunable.widths == expected
    random = np.random.default_rng(0)
    assert holds(prunable, {"blocks.0.attn.qkv": 24, "blocks.1.mlp.fc1": 7}, random)
    assert holds(prunable, dict.fromkeys(expected, 24), random)


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("itself", [False, True])
def test_plain_attention_answers_as_torchs(batch_first: bool, masked: bool, itself: bool) -> None:
    torch.manual_seed(0)
    given = nn.MultiheadAttention(12, 3, batch_first=batch_first).eval()
    nn.init.uniform_(given.in_proj_bias)
    plain_one = PlainAttention(given)
    query = torch.rand(2, 5, 12) if batch_first else torch.rand(5, 2, 12)
    key = query if itself else torch.rand(query.shape)
    masks = {
        "attn_mask": torch.ones(5, 5, dtype=torch.bool).triu(1),
        "key_padding_mask": torch.tensor([[False] * 5, [False] * 3 + [True] * 2]),
    }
    options = masks if masked else {}
    with torch.no_grad():
        for weights in (True, False):
            wanted = given(query, key, key, need_weights=weights, **options)
            got = plain_one(query, key, key, need_weights=weights, **options)
            assert torch.allclose(got[0], wanted[0], atol=1e-6)
            assert (got[1] is None) == (wanted[1] is None)
            if weights:
                assert torch.allclose(got[1], wanted[1], atol=1e-6)
        alone = given(query[0], query[0], query[0])
        for got_one, wanted_one in zip(plain_one(*[query[0]] * 3), alone, strict=True):
            assert torch.allclose(got_one, wanted_one, atol=1e-6)


def test_heads_of_torchs_own_attention_are_groups() -> None:
    class Encoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.patch = nn.Conv2d(3, 24, 4, 4)
            self.layer = nn.TransformerEncoderLayer(24, 3, 32, batch_first=True)
            self.head = nn.Linear(24, 1)

        def forward(self, x: Tensor) -> Tensor:
            found: Tensor = self.head(self.layer(self.patch(x).flatten(2).transpose(1, 2)))
            return found

    torch.manual_seed(0)
    model = Encoder().eval()
    prunable = trace(model, IMAGE)
    assert prunable.widths == {"layer.self_attn.in_proj": 72, "layer.linear1": 32}
    assert type(model.layer.self_attn) is nn.MultiheadAttention
    random = np.random.default_rng(0)
    widths = {"layer.self_attn.in_proj": 24, "layer.linear1": 7}
    assert holds(prunable, widths, random)
    pruned = prunable.pruned(widths)
    shell = reshaped(model, IMAGE, widths)
    shell.load_state_dict(pruned.state_dict())
    with torch.no_grad():
        assert torch.allclose(shell.eval()(IMAGE), pruned.eval()(IMAGE), atol=1e-6)
        assert torch.allclose(prunable.pruned({}).eval()(IMAGE), model(IMAGE), atol=1e-5)
    again = trace(prunable.pruned({"layer.self_attn.in_proj": 48}), IMAGE)
    assert again.widths == {"layer.self_attn.in_proj": 48, "layer.linear1": 32}
