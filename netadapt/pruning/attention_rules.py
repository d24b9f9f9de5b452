"""What attention does to channels: those of a head can only be removed together."""

from typing import Any

import torch
from torch import Tensor, nn

from netadapt.pruning.heads import head_counts
from netadapt.pruning.labels import fixed
from netadapt.pruning.shape_rules import ShapeRules

ONE = "attention reads the channels of a head as one"
MIXED = "a matrix product outside a layer reads its channels"


class AttentionRules(ShapeRules):  # type: ignore[no-untyped-call]
    """Batched matrix products and fused attention; the batch is images and heads.

    A product over the channels of a head is scaled by their number, so a head cannot lose some of
    them. The unit that can be removed is the whole head: its rows in the layers that make queries,
    keys and values, its columns in the layer that reads the result, and one from the number of
    heads of the module around it.
    """

    def _attention(self, args: Any, output: Tensor) -> Tensor:
        """``softmax(q k) v`` of ``(N, heads, positions, channels)`` each.

        Keys and values may have fewer heads, each for as many queries that lie side by side.
        """
        queries, keys, values = (self._dependent(tensor) for tensor in args[:3])
        shared = args[0].shape[1] // args[1].shape[1]
        if keys.shape[1] > 1:
            keys = keys.repeat_interleave(shared, 1)
        if values.shape[1] > 1:
            values = values.repeat_interleave(shared, 1)
        mask = next(
            (tensor for name, tensor in self._kwargs.items() if name in ("attn_mask", "attn_bias")),
            None,
        )
        scores = self._product(queries, keys.transpose(-1, -2))
        if isinstance(mask, Tensor) and self._depends_on_input(mask):
            self.book.join(self._of(mask), scores)
        elif isinstance(mask, Tensor):
            self._meet_constant(mask, scores)
        return self._product(scores, values)

    def _batched(self, args: Any, output: Tensor) -> Tensor:
        return self._product(self._dependent(args[0]), self._dependent(args[1]))

    def _batched_sum(self, args: Any, output: Tensor) -> Tensor:
        """``added + one @ other``."""
        product = self._product(self._dependent(args[1]), self._dependent(args[2]))
        if self._depends_on_input(args[0]):
            self.book.join(self._of(args[0]), product)
        else:
            self._meet_constant(args[0], product)
        return product

    def _dependent(self, tensor: Tensor) -> Tensor:
        return self._of(tensor) if self._depends_on_input(tensor) else fixed(tensor)

    def _product(self, left: Tensor, right: Tensor) -> Tensor:
        """Labels of ``(..., I, K) @ (..., K, J)``; dimensions before the last two are the batch."""
        summed = left.shape[-1] > 1 or right.shape[-2] > 1
        left, right = self._contracted(left, -1), self._contracted(right, -2)
        rows, columns = left.shape[-2] > 1, right.shape[-1] > 1
        split = [labels for labels in (left, right) if labels[..., 0, 0].numel() > 1]
        if rows and columns and len(split) < 2:
            self.book.lock(right, MIXED)
            columns = False
        if len(split) == 2:  # what meets in a product of the batch is one
            self.book.join(left[..., :1, :1], right, ONE)
            self.book.join(right[..., :1, :1], left, ONE)
        elif split or (summed and rows != columns):  # the other side is the same for all heads
            shared = right if rows or (split and split[0] is left) else left
            self.book.lock(shared, "every head reads its channels")
        elif summed:
            self.book.join(left[..., :1, :1], right[..., :1, :1], MIXED)
        if split:
            self._note_heads(split[0][..., 0, 0].flatten())
        elif summed and rows:
            self._note_heads(left.flatten())
        if rows and columns:
            return left[..., :1, :1]
        if len(split) == 1:
            return split[0]
        return right if columns else left

    def _sized(self, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        """The labels behind the sizes of a product's inputs: all have as many heads."""
        batch = next((labels[:, :1, :1] for labels in inputs if labels.shape[0] > 1), None)
        if batch is None:
            return inputs
        return tuple(labels if labels.shape[0] > 1 else batch for labels in inputs)

    def _contracted(self, labels: Tensor, dim: int) -> Tensor:
        """Join what a product sums over."""
        first = labels.narrow(dim, 0, 1)
        if labels.shape[dim] > 1:
            self.book.join(first, labels, ONE)
        return first

    def _note_heads(self, labels: Tensor) -> None:
        """The running module, or one around it, counts the heads that it splits channels into."""
        counting = (n for n in reversed(self._modules) if head_counts(self._by_name.get(n)))
        name = next(counting, self._running_name)
        found = list(dict.fromkeys(labels.tolist()))
        if isinstance(self._running, nn.Module) and name and len(found) > 1:
            counted = max(head_counts(self._by_name.get(name)).values(), default=len(found))
            each = counted // len(found) if counted % len(found) == 0 else 1
            heads = torch.tensor(found).repeat_interleave(each)  # several that share their keys
            known = self.writes.setdefault(name, heads)
            if known.shape == heads.shape:
                self.book.join(known, heads, ONE)
