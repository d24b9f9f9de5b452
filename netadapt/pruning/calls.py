"""Modules that give back a tensor of the shape that they were given, where they are called."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from netadapt.pruning.examples import tensors_in
from netadapt.pruning.folding import CONVOLUTIONS
from netadapt.pruning.tracker import Tracker

LAYERS = (*CONVOLUTIONS, nn.Linear)


@dataclass(frozen=True)
class Call:
    """The only call of a module, with one tensor in and one of the same shape out.

    Attributes:
        first: the place of the first operation that ran inside.
        last: the place behind the last one.
        source: the operation that made what it was given.
        result: the operation that made what it gave back.
        read: the labels of what it was given.
        written: the labels of what it gave back.
    """

    first: int
    last: int
    source: int
    result: int
    read: Tensor
    written: Tensor


@contextmanager
def noted_calls(model: nn.Module, tracker: Tracker) -> Iterator[dict[str, Call]]:
    """While open, note the calls of modules that hold layers; the network itself is none."""
    calls: dict[str, Call] = {}
    seen: set[str] = set()
    entered: dict[str, tuple[Tensor, int, int, Tensor]] = {}

    def enter(name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        tensors = list(tensors_in((*args, *kwargs.values())))
        if len(tensors) == 1 and tensors[0] is args[0] and tracker.depends_on_input(tensors[0]):
            (given,) = tensors
            source, labels = tracker.origin_of(given), tracker.labels_of(given)
            entered[name] = given, len(tracker.operations), source, labels

    def leave(name: str, answer: Any) -> None:
        calls.pop(name, None)
        once = name not in seen
        seen.add(name)
        if name not in entered or not isinstance(answer, Tensor):
            return
        given, first, source, read = entered.pop(name)
        alike = answer.shape == given.shape and answer.dtype == given.dtype
        if once and alike and tracker.depends_on_input(answer):
            last, result = len(tracker.operations), tracker.origin_of(answer)
            calls[name] = Call(first, last, source, result, read, tracker.labels_of(answer))

    handles = []
    for name, module in model.named_modules():
        if name and any(isinstance(inner, LAYERS) for inner in list(module.modules())[1:]):
            handles += [
                module.register_forward_pre_hook(
                    lambda _, args, kwargs, name=name: enter(name, args, kwargs), with_kwargs=True
                ),
                module.register_forward_hook(lambda *call, name=name: leave(name, call[2])),
            ]
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()
