"""Surgery is not trusted: what is cut must answer as what is masked."""

import copy
from collections.abc import Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from netadapt.errors import UserError
from netadapt.pruning.operations import record_operations, tensors_in
from netadapt.pruning.surgery import cut, independent_copy, mask, undone

if TYPE_CHECKING:
    from netadapt.pruning.prunable import PrunableModel

TOLERANCE = 1e-9  # relative, in float64


def failures(traced: "PrunableModel", doubted: Container[str]) -> dict[str, str]:
    """Return ``{group: reason}`` for the groups that cannot be cut after all.

    A third of every group is cut, in float64; if that does not answer as the masked original,
    groups are halved until those are found that are to blame.

    Args:
        traced: the network and its groups.
        doubted: groups likely to be to blame; halving finds those sooner that lie together.
    """
    exact = copy.copy(traced)
    exact.model = independent_copy(traced.model).double().eval()
    exact.example_input = _double(traced.example_input)
    found: dict[str, str] = {}
    while True:
        left = [name for name in traced.groups if name not in found]
        blamed = _blamed(exact, sorted(left, key=lambda name: name in doubted))
        if not blamed:
            return found
        found |= blamed


def _blamed(exact: "PrunableModel", names: Sequence[str]) -> dict[str, str]:
    """Return which of ``names`` cannot be cut; of those that cannot be together, the last."""
    problem = _problem(exact, names)
    if problem is None:
        return {}
    half = len(names) // 2
    found = _blamed(exact, names[:half]) | _blamed(exact, names[half:]) if half else {}
    return found or {names[-1]: problem}


def _problem(exact: "PrunableModel", names: Sequence[str]) -> str | None:
    """Return what goes wrong when a third of the groups ``names`` is cut."""
    if not names:
        return None
    widths = {name: _two_thirds(exact, name) for name in names}
    kept = exact.kept_channels(widths)
    try:
        with undone(exact.model):
            cut(exact.model, exact._slots, kept)
            with _locked_layers_heard(exact) as got:
                operations, output = record_operations(exact.model, exact.example_input)
        with undone(exact.model):
            mask(exact.model, exact._slots, kept)
            with _locked_layers_heard(exact) as wanted, torch.no_grad():
                wanted_output = exact.model(exact.example_input)
    except UserError as error:
        return str(error)
    except (RuntimeError, ValueError, AssertionError, IndexError, TypeError) as error:
        return f"the network does not run without part of it: {_first_line(error)}"
    outputs = list(zip(tensors_in(wanted_output), tensors_in(output), strict=False))
    if any(one.shape != other.shape for one, other in outputs):
        return "cutting its channels changes the shape of the output"
    inside = [pair for pair in zip(wanted, got, strict=False) if pair[0].shape == pair[1].shape]
    difference = _disagreement([*outputs, *inside])
    if not difference <= TOLERANCE:  # not a number is no agreement
        return f"cutting its channels changes the output by {difference:.1e} more than masking them"
    predicted = exact.operations.at(exact.vector(widths))
    if [op.kind for op in predicted] != [op.kind for op in operations]:
        return "the network runs other operations without part of it"
    for expected, truth in zip(predicted, operations, strict=True):
        if expected.sizes != truth.sizes:
            return f"the sizes of {truth.kind} in {truth.module} do not follow its width"
    return None


@contextmanager
def _locked_layers_heard(exact: "PrunableModel") -> Iterator[list[Tensor]]:
    """While open, collect what the locked layers write.

    An output that a sigmoid has driven to 1 is the same whatever was cut; what the layer before
    the sigmoid writes is not.
    """
    producers = {name for group in exact.groups.values() for name in group.producers}
    heard: list[Tensor] = []
    hooks = [
        exact.model.get_submodule(name).register_forward_hook(lambda *call: heard.append(call[2]))
        for name in exact.locked.keys() - producers
    ]
    try:
        yield heard
    finally:
        for hook in hooks:
            hook.remove()


def _two_thirds(exact: "PrunableModel", name: str) -> int:
    group = exact.groups[name]
    return max(1, group.width // group.step * 2 // 3) * group.step


def _disagreement(pairs: Iterable[tuple[Tensor, Tensor]]) -> float:
    """Return the largest difference, relative to the largest value of its tensor."""
    return float(
        np.max([float((a - b).abs().max() / a.abs().max().clamp(1e-12)) for a, b in pairs])
    )


def _double(tensor: Tensor) -> Tensor:
    random = torch.Generator().manual_seed(0)
    given = torch.rand(tensor.shape, generator=random, dtype=torch.float64)
    return given.to(tensor.device)


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
