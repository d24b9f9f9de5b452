"""Heads of attention whose keys and values are of another stream, or shared by several queries."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from netadapt.pruning import PrunableModel, reshaped, trace
from netadapt.pruning.attention import PlainAttention
from netadapt.training import load_checkpoint, save_checkpoint

IMAGE = torch.rand(2, 3, 16, 16, generator=torch.Generator().manual_seed(0))
HEADS, EACH = 3, 8
Attend = Callable[[Tensor, Tensor, Tensor], Tensor]


def by_head(x: Tensor, heads: int) -> Tensor:
    return x.view(*x.shape[:2], heads, -1).transpose(1, 2)


class TwoStreams(nn.Module):
    """Tokens of patches ask those of larger patches."""

    def __init__(self, attention: nn.Module, context: int = 24) -> None:
        super().__init__()
        self.patch, self.coarse = nn.Conv2d(3, 24, 4, 4), nn.Conv2d(3, context, 8, 8)
        self.norm, self.coarse_norm = nn.LayerNorm(24), nn.LayerNorm(context)
        self.attention, self.head = attention, nn.Linear(24, 1)

    def forward(self, x: Tensor) -> Tensor:
        tokens = self.patch(x).flatten(2).transpose(1, 2)
        context = self.coarse_norm(self.coarse(x).flatten(2).transpose(1, 2))
        return self.head(tokens + self.attention(self.norm(tokens), context))


class Torchs(nn.Module):
    """``nn.MultiheadAttention`` with queries of one tensor and keys and values of others."""

    def __init__(self, *, context: int | None = None, bias: bool = True, shifted: bool = False):
        super().__init__()
        self.inner = nn.MultiheadAttention(
            24, HEADS, batch_first=True, kdim=context, vdim=context, bias=bias
        )
        self.shifted = shifted

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        if self.shifted:  # as in DETR: queries and keys know where they are, values do not
            found = self.inner(x + 0.1, x + 0.1, x)[0]
        else:
            found = self.inner(x, context, context, need_weights=False)[0]
        return found


class Written(nn.Module):
    """Written out, with as many heads of keys as asked for."""

    def __init__(self, attend: Attend, key_heads: int) -> None:
        super().__init__()
        self.num_heads, self.num_kv_heads = 6, key_heads
        self.q, self.k, self.v = (nn.Linear(24, EACH * n) for n in (6, key_heads, key_heads))
        self.proj, self.attend = nn.Linear(6 * EACH, 24), attend

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        q = by_head(self.q(x), self.num_heads)
        k, v = (by_head(layer(context), self.num_kv_heads) for layer in (self.k, self.v))
        found: Tensor = self.proj(self.attend(q, k, v).transpose(1, 2).flatten(2))
        return found


def plain(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return (q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).softmax(-1) @ v


def fused(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    return F.scaled_dot_product_attention(q, k, v, enable_gqa=k.shape[1] < q.shape[1])


def expanded(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """As Hugging Face's ``repeat_kv``."""
    k, v = (
        x[:, :, None].expand(-1, -1, q.shape[1] // x.shape[1], -1, -1).flatten(1, 2) for x in (k, v)
    )
    return plain(q, k, v)


def folded(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """Queries in a dimension of their own, over which keys are broadcast."""
    groups = q.unflatten(1, (k.shape[1], -1))
    return plain(groups, k[:, :, None], v[:, :, None]).flatten(1, 2)


def contracted(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    groups = q.unflatten(1, (k.shape[1], -1))
    scores = torch.einsum("bgrid,bgjd->bgrij", groups, k) * q.shape[-1] ** -0.5
    return torch.einsum("bgrij,bgjd->bgrid", scores.softmax(-1), v).flatten(1, 2)


def written(attend: Attend, key_heads: int) -> nn.Module:
    return TwoStreams(Written(attend, key_heads))


TORCHS: dict[str, Callable[[], nn.Module]] = {
    "cross": lambda: TwoStreams(Torchs()),
    "cross without bias": lambda: TwoStreams(Torchs(bias=False)),
    "cross of another width": lambda: TwoStreams(Torchs(context=16), 16),
    "values apart": lambda: TwoStreams(Torchs(shifted=True)),
}
SHARED = {"fused": fused, "expanded": expanded, "folded": folded, "contracted": contracted}
NETWORKS: dict[str, Callable[[], nn.Module]] = {
    **TORCHS,
    **{f"keys of two, {name}": partial(written, attend, 3) for name, attend in SHARED.items()},
    **{f"keys of all, {name}": partial(written, attend, 1) for name, attend in SHARED.items()},
    "keys of all, plain": partial(written, plain, 1),
    "cross written out": partial(written, plain, 6),
}


@pytest.fixture(scope="module")
def traced() -> dict[str, PrunableModel]:
    torch.manual_seed(0)
    return {name: trace(build().eval(), IMAGE) for name, build in NETWORKS.items()}


def answer(model: nn.Module) -> Tensor:
    with torch.no_grad():
        found: Tensor = model.double().eval()(IMAGE.double())
    return found


@pytest.mark.parametrize("name", NETWORKS)
@settings(max_examples=4, deadline=None)
@given(data=st.data())
def test_heads_go_and_the_network_answers_as_masked(
    traced: dict[str, PrunableModel], name: str, data: st.DataObject
) -> None:
    prunable = traced[name]
    (group,) = prunable.groups.values()
    heads = group.width // group.step
    assert heads == (6 if "of all" in name or "written" in name else 3)
    left = data.draw(st.integers(1, heads))
    scores = {group.name: np.random.default_rng(left).random(heads)}
    widths = {group.name: left * group.step}
    pruned, masked = prunable.pruned(widths, scores), prunable.masked(widths, scores)
    assert torch.allclose(answer(pruned), answer(masked), rtol=1e-9, atol=1e-12)
    assert (left == heads) == torch.allclose(answer(pruned), answer(prunable.pruned({})))


@pytest.mark.parametrize("name", TORCHS)
def test_torchs_attention_answers_as_before(name: str, traced: dict[str, PrunableModel]) -> None:
    torch.manual_seed(1)
    model = TORCHS[name]().eval()
    for parameter in model.parameters():
        nn.init.uniform_(parameter, -0.3, 0.3)
    prunable = trace(model, IMAGE)
    assert type(model.attention.inner) is nn.MultiheadAttention
    with torch.no_grad():
        assert torch.allclose(prunable.model(IMAGE), model(IMAGE), atol=1e-5)
    inner = prunable.model.attention.inner
    assert inner.q_proj.weight.data_ptr() in {p.data_ptr() for p in model.parameters()}
    widths = {"attention.inner.q_proj": 2 * EACH}
    pruned = prunable.pruned(widths)
    shell = reshaped(model, IMAGE, widths).eval()
    shell.load_state_dict(pruned.state_dict())
    with torch.no_grad():
        assert torch.equal(shell(IMAGE), pruned.eval()(IMAGE))
    again = trace(pruned, IMAGE)
    assert again.widths == widths


def cross() -> nn.Module:
    return TwoStreams(Torchs())


def test_a_file_that_keeps_the_three_layers_as_one_still_loads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from netadapt.models import build

    monkeypatch.setenv("NETADAPT_TRUST", "test_cross_attention")
    model = build("test_cross_attention:cross").eval()
    prunable = trace(model, IMAGE)
    pruned = prunable.pruned({})
    old = pruned.get_submodule("attention.inner")
    packed = nn.Module()
    packed.in_proj = nn.Linear(24, 72)
    packed.out_proj = old.out_proj
    for kind in ("weight", "bias"):
        parts = [getattr(old.get_submodule(f"{n}_proj"), kind).detach() for n in "qkv"]
        setattr(packed.in_proj, kind, nn.Parameter(torch.cat(parts)))
    pruned.attention.inner = packed
    save_checkpoint(pruned, tmp_path / "old.safetensors", input_size=(16, 16))
    loaded = load_checkpoint(tmp_path / "old.safetensors")
    with torch.no_grad():
        assert torch.allclose(loaded(IMAGE), model(IMAGE), atol=1e-5)


def test_what_several_heads_share_stays_until_the_last_of_them_goes() -> None:
    torch.manual_seed(0)
    of_all = trace(TwoStreams(Written(fused, 1)).eval(), IMAGE)
    assert of_all.locked["attention.k"] == "every head reads its channels"
    of_two = trace(TwoStreams(Written(fused, 3)).eval(), IMAGE)
    (group,) = of_two.groups.values()
    assert group.producers == ("attention.q", "attention.k", "attention.v")
    assert group.step == 2 * EACH
    pruned = of_two.pruned({group.name: group.step})
    assert (pruned.attention.num_heads, pruned.attention.num_kv_heads) == (2, 1)


def test_attention_of_torch_with_keys_of_its_own_is_left_alone() -> None:
    class Own(Torchs):
        def __init__(self) -> None:
            super().__init__()
            self.inner = nn.MultiheadAttention(24, HEADS, batch_first=True, add_bias_kv=True)

    prunable = trace(TwoStreams(Own()).eval(), IMAGE)
    assert not isinstance(prunable.model.attention.inner, PlainAttention)
    assert prunable.groups == {}
