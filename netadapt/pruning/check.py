"""Surgery is not trusted: what is cut must answer as what is masked."""

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from netadapt.errors import UserError
from netadapt.pruning.operations import record_operations, tensors_in
from netadapt.pruning.surgery import independent_copy

if TYPE_CHECKING:
    from netadapt.pruning.prunable import PrunableModel

TOLERANCE = 1e-9  # relative, in float64


def failures(traced: "PrunableModel") -> dict[str, str]:
    """Return ``{group: reason}`` for the groups that cannot be cut after all.

    A third of every group is cut, in float64; if that does not answer as the masked original,
    groups are halved until those are found that are to blame.
    """
    exact = copy.copy(traced)
    exact.model = independent_copy(traced.model).double().eval()
    exact.example_input = _double(traced.example_input)
    found: dict[str, str] = {}
    while True:
        names = [name for name in traced.groups if name not in found]
        blamed = _blamed(exact, names)
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
    given = exact.example_input
    try:
        with torch.no_grad():
            wanted = exact.masked(widths)(given)
        operations, got = record_operations(exact.pruned(widths), given)
    except UserError as error:
        return str(error)
    except (RuntimeError, ValueError, AssertionError, IndexError, TypeError) as error:
        return f"the network does not run without part of it: {_first_line(error)}"
    difference = _disagreement(wanted, got)
    if difference > TOLERANCE:
        return f"cutting its channels changes the output by {difference:.1e} more than masking them"
    predicted = exact.operations.at(exact.vector(widths))
    if [op.kind for op in predicted] != [op.kind for op in operations]:
        return "the network runs other operations without part of it"
    for expected, truth in zip(predicted, operations, strict=True):
        if expected.sizes != truth.sizes:
            return f"the sizes of {truth.kind} in {truth.module} do not follow its width"
    return None


def _two_thirds(exact: "PrunableModel", name: str) -> int:
    group = exact.groups[name]
    return max(1, group.width // group.step * 2 // 3) * group.step


def _disagreement(wanted: Any, got: Any) -> float:
    one, other = list(tensors_in(wanted)), list(tensors_in(got))
    if [tensor.shape for tensor in one] != [tensor.shape for tensor in other]:
        return float("inf")
    differences = [float((a - b).abs().max()) for a, b in zip(one, other, strict=True)]
    scale = max(float(tensor.abs().max()) for tensor in one)
    return max(differences) / max(scale, 1e-12)


def _double(tensor: Tensor) -> Tensor:
    random = torch.Generator().manual_seed(0)
    given = torch.rand(tensor.shape, generator=random, dtype=torch.float64)
    return given.to(tensor.device)


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), type(error).__name__)
