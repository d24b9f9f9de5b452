"""The numbers by which modules split channels into heads."""

import re

from torch import nn

from netadapt.errors import UserError

# attributes of attention: how many heads there are, and how many channels they have together
HEADS = re.compile(r"^_?(num_|n_|number_of_)?(attention_|attn_)?(n?heads?)$")
SHARED_HEADS = re.compile(r"^_?(num_|n_)?(kv|key_value)_?heads?$")  # keys for several queries each
WIDTHS_OF_HEADS = ("attn_dim", "attention_dim", "all_head_size", "inner_dim")


def head_counts(module: nn.Module | None) -> dict[str, int]:
    """Return the attributes by which a module counts its heads."""
    attributes = {} if module is None else vars(module)
    return {n: v for n, v in attributes.items() if type(v) is int and HEADS.search(n)}


def cut_heads(module: nn.Module, gone: int) -> None:
    """Lower the numbers by which a module splits channels into heads.

    Raises:
        UserError: it has no such number.
    """
    counts = head_counts(module)
    if len(set(counts.values())) != 1:
        raise UserError(f"{type(module).__name__} has no attribute with its number of heads")
    heads = next(iter(counts.values()))
    for name, value in list(vars(module).items()):
        of_heads = name in counts or name in WIDTHS_OF_HEADS or SHARED_HEADS.search(name)
        if type(value) is int and of_heads:
            setattr(module, name, value * (heads - gone) // heads)
