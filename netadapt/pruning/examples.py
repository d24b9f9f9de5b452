"""What a network is run on: one tensor, several of them, or tensors by name."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_map

Example = Tensor | tuple[Any, ...] | Mapping[str, Any]

PLAIN = (str, bytes, int, float, complex, bool, type(None), torch.dtype, torch.device, nn.Module)


def run(model: nn.Module, example: Example) -> Any:
    """Call ``model`` with a tensor, with a tuple of arguments, or with arguments by name."""
    if isinstance(example, Tensor):
        return model(example)
    if isinstance(example, Mapping):
        return model(**example)
    return model(*example)


def mapped(change: Callable[[Tensor], Tensor], example: Example) -> Any:
    """Return ``example`` with every tensor changed."""
    if isinstance(example, Mapping):  # pytree knows few of them
        return {name: mapped(change, value) for name, value in example.items()}
    return tree_map(lambda value: change(value) if isinstance(value, Tensor) else value, example)


def shapes(example: Example) -> str:
    """Return the shapes of an example, for a message."""
    found = [str(tuple(tensor.shape)) for tensor in tensors_in(example)]
    return " and ".join(found) or "no tensor"


def tensors_in(value: Any) -> Iterator[Tensor]:
    """Yield the tensors of nested lists, tuples and dictionaries."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for item in value:
            yield from tensors_in(item)
    elif isinstance(value, Mapping):
        yield from tensors_in(list(value.values()))


def output_tensors(value: Any) -> list[Tensor]:
    """Return the tensors of an output, which may lie in the fields of objects of any class."""
    return list(_inside(value, set()))


def _inside(value: Any, seen: set[int]) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif not isinstance(value, (*PLAIN, type)) and id(value) not in seen:
        seen.add(id(value))
        for item in _items(value):
            yield from _inside(item, seen)


def _items(value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        return [*value.values()]
    if isinstance(value, list | tuple | set | frozenset):
        return [*value]
    if is_dataclass(value):
        return [getattr(value, field.name, None) for field in fields(value)]
    slots = [name for kind in type(value).__mro__ for name in _slots(kind)]
    named = [getattr(value, name, None) for name in slots]
    return [*named, *getattr(value, "__dict__", {}).values()]


def _slots(kind: type) -> tuple[str, ...]:
    slots = vars(kind).get("__slots__", ())
    return (slots,) if isinstance(slots, str) else tuple(slots)
