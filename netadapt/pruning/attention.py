"""``nn.MultiheadAttention`` as layers that can be cut."""

import re
from collections.abc import Container, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netadapt.pruning.examples import Example, run
from netadapt.pruning.operations import every_module_runs

PROJECTIONS = ("q_proj", "k_proj", "v_proj")
PROJECTION = re.compile(r"(.*)\b(q|k|v)_proj\.(weight|bias)")


class PlainAttention(nn.Module):
    """What ``nn.MultiheadAttention`` does, with any number of heads of any width.

    Torch's own splits the width of the stream by the number of heads, so that no head can go. This
    one has the same parameters and answers the same.

    Args:
        given: the attention that it stands for.
        packed: whether one layer makes queries, keys and values, all of one input. Else there are
            three, which read inputs of their own; those hold parts of the parameter if ``given``
            has one for all.
    """

    in_proj_bias = None  # keeps nn.TransformerEncoderLayer from its kernel for torch's own
    _qkv_same_embed_dim = True

    def __init__(self, given: nn.MultiheadAttention, packed: bool = True) -> None:
        super().__init__()
        self.num_heads, self.head_dim = given.num_heads, given.head_dim
        self.batch_first, self.dropout = given.batch_first, given.dropout
        self.packed = packed and given.in_proj_weight is not None
        if self.packed:
            self.in_proj = _linear(given.in_proj_weight, given.in_proj_bias)
        else:
            for name, weight, bias in _parts(given):
                self.add_module(name, _linear(weight, bias))
        self.out_proj = given.out_proj
        self.train(given.training)

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        key_padding_mask: Tensor | None = None,
        need_weights: bool = True,
        attn_mask: Tensor | None = None,
        average_attn_weights: bool = True,
        is_causal: bool = False,
    ) -> tuple[Tensor, Tensor | None]:
        """Return what ``nn.MultiheadAttention`` returns."""
        batched = query.dim() == 3
        swapped = batched and not self.batch_first
        q, k, v = self._split(query, key, value)
        q, k, v = (_by_head(tensor, swapped, batched) for tensor in (q, k, v))
        mask = self._mask(attn_mask, key_padding_mask, q, k)
        dropout = self.dropout if self.training else 0.0
        weights = None
        if need_weights:
            scores = q @ k.transpose(-1, -2) * self.head_dim**-0.5
            weights = (scores if mask is None else scores + mask).softmax(-1)
            found = F.dropout(weights, dropout) @ v
            weights = weights.mean(1) if average_attn_weights else weights
            weights = weights if batched else weights[0]
        else:
            found = F.scaled_dot_product_attention(q, k, v, mask, dropout)
        answer = self.out_proj(found.transpose(1, 2).flatten(2))
        answer = answer.transpose(0, 1) if swapped else answer
        return answer if batched else answer[0], weights

    def _split(self, query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, ...]:
        """Return queries, keys and values, ``(..., heads, channels of a head)``."""
        each = (self.num_heads, self.head_dim)
        if self.packed and query is key and key is value:
            together: Tensor = self.in_proj(query)
            return together.view(*together.shape[:-1], 3, *each).unbind(-3)
        if not self.packed:
            inputs = zip(PROJECTIONS, (query, key, value), strict=True)
            made = [self.get_submodule(name)(given) for name, given in inputs]
        else:  # the trace has seen it called with one tensor alone
            weights, bias = self.in_proj.weight.chunk(3), self.in_proj.bias
            biases = (None, None, None) if bias is None else bias.chunk(3)
            given_each = zip((query, key, value), weights, biases, strict=True)
            made = [F.linear(given, weight, own) for given, weight, own in given_each]
        return tuple(tensor.view(*tensor.shape[:-1], *each) for tensor in made)

    def _mask(
        self, attn_mask: Tensor | None, padding: Tensor | None, q: Tensor, k: Tensor
    ) -> Tensor | None:
        """Return what is added to the scores, ``(N or 1, heads or 1, L or 1, S)``."""
        masks = []
        if attn_mask is not None:
            each = (-1, self.num_heads) if attn_mask.dim() == 3 else (1, 1)
            masks.append(_additive(attn_mask, q).view(*each, q.shape[2], k.shape[2]))
        if padding is not None:
            masks.append(_additive(padding, q).view(-1, 1, 1, k.shape[2]))
        return sum(masks[1:], masks[0]) if masks else None


def _by_head(tensor: Tensor, swapped: bool, batched: bool) -> Tensor:
    """Return ``(N, heads, positions, channels)``."""
    tensor = tensor if batched else tensor[None]
    return (tensor.transpose(0, 1) if swapped else tensor).transpose(1, 2)


def _additive(mask: Tensor, like: Tensor) -> Tensor:
    if mask.dtype != torch.bool:
        return mask
    return torch.zeros_like(mask, dtype=like.dtype).masked_fill(mask, float("-inf"))


def _linear(weight: nn.Parameter, bias: nn.Parameter | None) -> nn.Linear:
    """Return a layer that holds these very parameters."""
    layer = nn.Linear(1, 1)
    layer.weight = weight
    layer.register_parameter("bias", bias)
    layer.out_features, layer.in_features = weight.shape
    return layer


def _parts(given: Any) -> Iterator[tuple[str, nn.Parameter, nn.Parameter | None]]:
    """Yield name, weight and bias of the layers for queries, keys and values."""
    if given.in_proj_weight is None:
        weights = [given.q_proj_weight, given.k_proj_weight, given.v_proj_weight]
    else:
        weights = _thirds(given.in_proj_weight)
    biases = [None] * 3 if given.in_proj_bias is None else _thirds(given.in_proj_bias)
    yield from zip(PROJECTIONS, weights, biases, strict=True)


def _thirds(parameter: nn.Parameter) -> list[nn.Parameter]:
    """Return three parameters in the memory of one."""
    parts = parameter.detach().chunk(3)
    return [nn.Parameter(part, requires_grad=parameter.requires_grad) for part in parts]


def stored_name(name: str, stored: Container[str]) -> tuple[str, int | None]:
    """Return where a file holds a tensor of a network, and which third of what is there.

    Older files keep the layers of cross-attention as one.
    """
    found = PROJECTION.fullmatch(name)
    packed = f"{found[1]}in_proj.{found[3]}" if found else ""
    if found is None or name in stored or packed not in stored:
        return name, None
    return packed, "qkv".index(found[2])


def is_replaceable(module: Any) -> bool:
    """Whether a ``PlainAttention`` can stand for ``module``."""
    return (
        type(module) is nn.MultiheadAttention and module.bias_k is None and not module.add_zero_attn
    )


def self_attentions(model: nn.Module, example: Example) -> set[str]:
    """Run ``model``; return the attentions whose queries, keys and values are of one tensor.

    Those that do not run count too.
    """
    found = {name for name, module in model.named_modules() if is_replaceable(module)}

    def look(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        given = [*args, *(kwargs[key] for key in ("query", "key", "value") if key in kwargs)][:3]
        if any(one is not given[0] for one in given):
            found.discard(name)

    hooks = [
        model.get_submodule(name).register_forward_pre_hook(
            lambda _, args, kwargs, name=name: look(name, args, kwargs), with_kwargs=True
        )
        for name in found
    ]
    try:
        with torch.no_grad(), every_module_runs():
            run(model, example)
    except Exception:  # the trace will say what is wrong
        return found
    finally:
        for hook in hooks:
            hook.remove()
    return found
