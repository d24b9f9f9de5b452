"""``nn.MultiheadAttention`` as layers that can be cut."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class PlainAttention(nn.Module):
    """What ``nn.MultiheadAttention`` does, with any number of heads of any width.

    Torch's own splits the width of the stream by the number of heads, so that no head can go. This
    one has the same parameters and answers the same.
    """

    in_proj_bias = None  # keeps nn.TransformerEncoderLayer from its kernel for torch's own
    _qkv_same_embed_dim = True

    def __init__(self, given: nn.MultiheadAttention) -> None:
        super().__init__()
        self.num_heads, self.head_dim = given.num_heads, given.head_dim
        self.batch_first, self.dropout = given.batch_first, given.dropout
        self.in_proj = nn.Linear(1, 1)
        self.in_proj.weight = given.in_proj_weight
        self.in_proj.bias = given.in_proj_bias
        self.in_proj.out_features, self.in_proj.in_features = given.in_proj_weight.shape
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
        if query is key and key is value:
            together: Tensor = self.in_proj(query)
            return together.view(*together.shape[:-1], 3, *each).unbind(-3)
        weights, bias = self.in_proj.weight.chunk(3), self.in_proj.bias
        biases = (None, None, None) if bias is None else bias.chunk(3)
        made = [
            F.linear(given, weight, own)
            for given, weight, own in zip((query, key, value), weights, biases, strict=True)
        ]
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


def is_replaceable(module: Any) -> bool:
    """Whether a ``PlainAttention`` can stand for ``module``."""
    return (
        type(module) is nn.MultiheadAttention
        and module.in_proj_weight is not None
        and module.bias_k is None
        and not module.add_zero_attn
    )
