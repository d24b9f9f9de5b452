"""The numbers by which modules split channels into heads."""

import re

from torch import nn

from netadapt.errors import UserError

# attributes of attention: how many heads there are, and how many channels they have together
HEADS = re.compile(r"^_?(num_|n_|number_of_)?(attention_|attn_)?(n?heads?)$")
SHARED_HEADS = re.compile(r"^_?(num_|n_)?(kv|key_value)_?heads?$")  # keys for several queries each
QUERIES_OF_EACH = re.compile(r"^_?(n_rep|num_(kv|key_value|queries_per_kv)(_groups)?)$")
WIDTHS_OF_HEADS = ("attn_dim", "attention_dim", "all_head_size", "inner_dim")


def head_counts(module: nn.Module | None) -> dict[str, int]:
    """Return the attributes by which a module counts its heads."""
    attributes = {} if module is None else vars(module)
    return {n: v for n, v in attributes.items() if type(v) is int and HEADS.search(n)}


def cut_heads(module: nn.Module, gone: int) -> None:
    """Lower the numbers by which a module splits channels into heads; it may have none.

    Keys that all queries share stay one; how many queries each of several has stays.

    Raises:
        UserError: its numbers of heads differ.
    """
    counts = head_counts(module)
    if not counts:
        return
    if len(set(counts.values())) > 1:
        raise UserError(f"{type(module).__name__} has several numbers of heads: {counts}")
    heads = next(iter(counts.values()))
    left = heads - gone
    attributes = {name: value for name, value in vars(module).items() if type(value) is int}
    shared = {name: value for name, value in attributes.items() if SHARED_HEADS.search(name)}
    for name, value in attributes.items():
        if name in shared and value == 1:
            continue
        if name in counts or name in WIDTHS_OF_HEADS or name in shared:
            setattr(module, name, value * left // heads)
        elif QUERIES_OF_EACH.search(name) and value == heads:  # all have the same keys
            setattr(module, name, left)
