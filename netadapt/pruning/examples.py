"""Example inputs of a network: one tensor, several tensors, or tensors by name."""

import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence, Set, ValuesView
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils._pytree import tree_map

Example = Tensor | tuple[Any, ...] | Mapping[str, Any]
Arrays = tuple[NDArray[Any], ...]

# an argument of forward, then the keys of the dictionaries in it
ARGUMENT = re.compile(r"[A-Za-z_]\w*(\.\w+)*", re.ASCII)
PLAIN = (str, bytes, int, float, complex, bool, type(None), torch.dtype, torch.device, nn.Module)


def run(model: nn.Module, example: Example) -> Any:
    """Call ``model`` with a tensor, with a tuple of arguments, or with arguments by name."""
    if isinstance(example, Tensor):
        return model(example)
    if isinstance(example, Mapping):
        return model(**example)
    return model(*example)


def call_arguments(example: Example) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the positional and the named arguments that ``run`` calls a network with."""
    if isinstance(example, Tensor):
        return (example,), {}
    if isinstance(example, Mapping):
        return (), dict(example)
    return tuple(example), {}


def batch_of(example: Example) -> int:
    """Return the batch size: the first size of the first tensor; 1 if it has no dimension."""
    first = next(tensors_in(example), None)
    return 1 if first is None or not first.dim() else len(first)


def with_batch(example: Example, batch: int) -> Any:
    """Return ``example`` with ``batch`` examples; the first ones are repeated to fill it."""
    count = batch_of(example)
    if count == batch:
        return example
    places = torch.arange(batch) % count
    return mapped(lambda t: t[places] if t.dim() and len(t) == count else t, example)


def arrays(example: Example) -> Arrays:
    """Return the tensors of ``example`` as arrays, in the order in which runtimes take them."""
    return tuple(tensor.detach().cpu().numpy() for tensor in tensors_in(example))


def placed(
    example: Example, device: torch.device | None = None, dtype: torch.dtype | None = None
) -> Any:
    """Return ``example`` on a device, its floating-point tensors in ``dtype``."""

    def moved(tensor: Tensor) -> Tensor:
        return tensor.to(device, dtype if tensor.is_floating_point() else None)

    return mapped(moved, example)


def described(example: Example) -> str:
    """Return the shapes as options write them: ``1x3x64x64``, or ``left=1x3x64x64,right=...``."""
    if isinstance(example, Tensor):
        return "x".join(map(str, example.shape))
    named = example if isinstance(example, Mapping) else dict(enumerate(example))
    return ",".join(f"{name}={_sizes(tensor)}" for name, tensor in by_path(named))


def input_options(model: nn.Module, example: Example) -> tuple[str, ...]:
    """Return ``example`` as ``--input`` options: ``("left=1x3x64x64", ...)``.

    Empty for one image ``(N, C, H, W)``, and where an argument has no name or no tensor.
    """
    if isinstance(example, Tensor) and example.dim() == 4 and example.is_floating_point():
        return ()
    args, kwargs = call_arguments(example)
    try:
        named = dict(inspect.signature(model.forward).bind(*args, **kwargs).arguments)
    except (TypeError, ValueError):
        return ()
    found = tuple(by_path(named))
    complete = len(found) == sum(1 for _ in tensors_in(example))
    lists = any(isinstance(value, list | tuple) for value in named.values())
    if lists or not complete or not all(ARGUMENT.fullmatch(name) for name, _ in found):
        return ()
    return tuple(f"{name}={_sizes(tensor)}" for name, tensor in found)


def _sizes(tensor: Tensor) -> str:
    kind = "" if tensor.dtype == torch.float32 else f":{str(tensor.dtype).removeprefix('torch.')}"
    return "x".join(map(str, tensor.shape)) + kind


def by_path(value: Mapping[Any, Any], path: str = "") -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors of nested containers, each with the keys to it, joined by dots."""
    for name, item in value.items():
        if isinstance(item, Tensor):
            yield f"{path}{name}", item
        elif isinstance(item, Mapping):
            yield from by_path(item, f"{path}{name}.")
        elif isinstance(item, list | tuple):
            yield from by_path(dict(enumerate(item)), f"{path}{name}.")


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
    """Return the tensors of an output, also those in fields of objects of any class."""
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
    if isinstance(value, Sequence | Set | ValuesView):
        return [*value]
    if is_dataclass(value):
        return [getattr(value, field.name, None) for field in fields(value)]
    slots = [name for kind in type(value).__mro__ for name in _slots(kind)]
    named = [getattr(value, name, None) for name in slots]
    return [*named, *getattr(value, "__dict__", {}).values()]


def _slots(kind: type) -> tuple[str, ...]:
    slots = vars(kind).get("__slots__", ())
    return (slots,) if isinstance(slots, str) else tuple(slots)
