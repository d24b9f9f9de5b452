"""Checks surgery: the cut network must give the same output as the masked original.

The number of trials is bounded by a budget in multiply-accumulates, not in seconds, so that a
network has the same groups on every machine. The budget takes one core about a second.
"""

from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from netadapt.errors import UserError
from netadapt.pruning.examples import Example, mapped, output_tensors, run, tensors_in
from netadapt.pruning.float64 import Float64
from netadapt.pruning.flow import as_in_training
from netadapt.pruning.groups import ChannelGroup
from netadapt.pruning.operations import COPIES, Operation, every_module_runs, record_operations
from netadapt.pruning.sizes import OperationMap
from netadapt.pruning.surgery import Slot, cut, independent_copy, mask, undone
from netadapt.pruning.trials import Trial, trials

BUDGET = 6e9  # multiply-accumulates of all trials but the first ones
OVERHEAD = 3e6  # what calling an operation costs, in multiply-accumulates
FEWEST = 6  # trials, whatever they cost
SMALL = (32, 64)  # sides of the input of most trials, the first that the network takes
# the largest difference, relative to the largest value of a tensor
TOLERANCES = {torch.float64: 1e-9, torch.float32: 1e-4, torch.float16: 1e-2, torch.bfloat16: 5e-2}


@dataclass(frozen=True)
class Suspects:
    """The groups to check, and the network they belong to.

    Attributes:
        model: the whole network.
        example_input: what it was traced with.
        groups: those that seem to be prunable.
        slots: for each group, where its channels lie.
        operations: the linear map from the widths of ``groups``.
        watched: layers whose outputs are compared too.
        doubted: groups that probably fail; they are found sooner if they come together.
        trains_otherwise: whether ``forward`` runs other operations in training mode.
    """

    model: nn.Module
    example_input: Example
    groups: Mapping[str, ChannelGroup]
    slots: Mapping[str, tuple[Slot, ...]]
    operations: OperationMap
    watched: Sequence[str]
    doubted: Container[str]
    trains_otherwise: bool


def failures(suspects: Suspects) -> dict[str, str]:
    """Return ``{group: reason}`` for the groups that cannot be cut.

    Every trial cuts some of the groups. If the result differs from the masked original, the set of
    groups is halved until the groups that cause the difference are found.
    """
    if not suspects.groups:
        return {}
    whole = _Bench(suspects, suspects.example_input, suspects.operations)
    small = _smaller(suspects) or whole
    steps = {name: group.width // group.step for name, group in suspects.groups.items()}
    found: dict[str, str] = {}
    for number, trial in enumerate(trials(steps)):
        if number >= max(FEWEST, BUDGET // small.cost):
            break
        bench = whole if number < 2 else small
        bench.records = number < 3
        while blamed := bench.blamed(trial, _left(suspects, trial, found)):
            found |= blamed
    return found


def _left(suspects: Suspects, trial: Trial, found: Container[str]) -> list[str]:
    left = [name for name in trial if name not in found]
    return sorted(left, key=lambda name: name in suspects.doubted)


def _smaller(suspects: Suspects) -> "_Bench | None":
    """Return a bench with a smaller input, if the network runs the same operations on it."""
    given = list(tensors_in(suspects.example_input))
    sides = {tuple(tensor.shape[2:]) for tensor in given}
    if any(tensor.dim() != 4 for tensor in given) or len(sides) != 1:
        return None
    for side in SMALL:
        if min(min(shape) for shape in sides) > side:
            small = mapped(lambda tensor: tensor[:, :, :side, :side], suspects.example_input)  # noqa: B023
            bench = _Bench(suspects, small, None)
            if bench.kinds == _kinds(suspects.operations.operations):
                return bench
    return None


def without_copies(operations: Sequence[Operation]) -> list[Operation]:
    """Return ``operations`` without those that differ with precision and memory layout."""
    return [operation for operation in operations if operation.kind not in COPIES]


def _kinds(operations: Sequence[Operation]) -> list[str]:
    return [operation.kind for operation in without_copies(operations)]


class _Bench:
    """Cuts and masks one copy of the network, and compares.

    Attributes:
        kinds: of the operations of the whole network.
        cost: of a trial, in multiply-accumulates.
        records: whether operations are compared too, not outputs alone.
    """

    records = True

    def __init__(
        self, suspects: Suspects, example: Example, operations: OperationMap | None
    ) -> None:
        self._suspects, self._operations = suspects, operations
        self._traced = without_copies(suspects.operations.operations)
        self.model = independent_copy(suspects.model).double().eval()
        self._example = mapped(_random_double, example)
        self._mode: Callable[[], AbstractContextManager[Any]] = Float64
        self.kinds = self._executed()
        self._tolerance = TOLERANCES[torch.float64]
        if self.kinds != _kinds(suspects.operations.operations):  # it is another network in float64
            self.model = independent_copy(suspects.model).eval()
            self._example, self._mode = mapped(random_like, example), nullcontext
            self.kinds = self._executed()
            self._tolerance = max(TOLERANCES[kind] for kind in self._precisions())
        self._by_values = self._sized_by_values()
        macs = sum(operation.macs for operation in self._recorded)
        self.cost = 3 * macs + OVERHEAD * max(1, len(self._recorded))

    def _executed(self) -> list[str]:
        """Run the whole network and return its operations; none if it does not run."""
        self._recorded: list[Operation] = []
        self._outputs: list[Tensor] = []
        try:
            with self._mode() as mode:
                self._recorded, output = record_operations(self.model, self._example)
        except Exception:  # of any class: the forward is not ours
            return []
        self._outputs = output_tensors(output)
        if isinstance(mode, Float64) and not mode.changed:
            self._mode = nullcontext
        return _kinds(self._recorded)

    def _sized_by_values(self) -> set[int]:
        """Return the operations whose sizes depend on the input's values, such as ``nonzero``."""
        pairs = zip(without_copies(self._recorded), self._traced, strict=False)
        return {place for place, (one, other) in enumerate(pairs) if one.sizes != other.sizes}

    def _precisions(self) -> set[torch.dtype]:
        used = {tensor.dtype for tensor in (*self.model.parameters(), *self.model.buffers())}
        given = (
            {tensor.dtype for tensor in output_tensors(self._outputs)} if self._recorded else set()
        )
        return {torch.float32, *(used | given)} & TOLERANCES.keys()

    def blamed(self, trial: Trial, names: Sequence[str]) -> dict[str, str]:
        """Return which of ``names`` cannot be cut; of groups that fail only together, the last."""
        problem = self._problem({name: trial[name] for name in names})
        if problem is None:
            return {}
        half = len(names) // 2
        found = self.blamed(trial, names[:half]) | self.blamed(trial, names[half:]) if half else {}
        return found or {names[-1]: problem}

    def _problem(self, kept: Trial) -> str | None:
        """Return what goes wrong if only the steps ``kept`` of every group stay."""
        if not kept:
            return None
        slots = self._suspects.slots
        try:
            with undone(self.model), self._mode():
                cut(self.model, slots, kept)
                operations = None
                with self._watched_layers() as got:
                    if self.records:
                        operations, output = record_operations(self.model, self._example)
                    else:
                        output = self._answer()
                outputs, trained = output_tensors(output), self._shapes_in_training()
            with undone(self.model), self._mode():
                mask(self.model, slots, kept)
                with self._watched_layers() as wanted:
                    wanted_outputs = output_tensors(self._answer())
                wanted_trained = self._shapes_in_training()
        except UserError as error:
            return str(error)
        except Exception as error:  # of any class: the forward is not ours
            return f"the network does not run without part of it: {_first_line(error)}"
        if (_shapes(outputs), trained) != (_shapes(wanted_outputs), wanted_trained):
            return "cutting its channels changes the shape of the output"
        heard = [pair for pair in zip(wanted, got, strict=False) if pair[0].shape == pair[1].shape]
        difference = disagreement([*zip(wanted_outputs, outputs, strict=True), *heard])
        if not difference <= self._tolerance:  # not a number is no agreement
            return (
                f"cutting its channels changes the output by {difference:.1e} "
                "more than masking them"
            )
        return None if operations is None else self._unpredicted(kept, operations)

    def _answer(self) -> Any:
        with torch.no_grad(), every_module_runs():
            return run(self.model, self._example)

    def _shapes_in_training(self) -> list[torch.Size]:
        """Return the output shapes in training mode; dropout makes the values random."""
        if not self._suspects.trains_otherwise:
            return []
        with torch.random.fork_rng([]), as_in_training(self.model):
            return _shapes(output_tensors(self._answer()))

    def _unpredicted(self, kept: Trial, operations: Sequence[Operation]) -> str | None:
        """Return how the operations of the cut network differ from those predicted."""
        if _kinds(operations) != self.kinds:
            return "the network runs other operations without part of it"
        if self._operations is None:
            return None
        groups = self._suspects.groups
        widths = [
            len(kept[name]) * group.step if name in kept else group.width
            for name, group in groups.items()
        ]
        predicted = without_copies(self._operations.at(widths))
        executed = without_copies(operations)
        for place, (expected, truth) in enumerate(zip(predicted, executed, strict=True)):
            if place not in self._by_values and expected.sizes != truth.sizes:
                where = truth.module or "the network"
                return f"the sizes of {truth.kind} in {where} do not follow its width"
        return None

    @contextmanager
    def _watched_layers(self) -> Iterator[list[Tensor]]:
        """While open, collect what the watched layers write.

        An output that a sigmoid has saturated to 1 is the same whatever was cut. The output of the
        layer before the sigmoid is not.
        """
        heard: list[Tensor] = []
        hooks = [
            self.model.get_submodule(name).register_forward_hook(
                lambda *call: heard.extend(output_tensors(call[2]))
            )
            for name in self._suspects.watched
        ]
        try:
            yield heard
        finally:
            for hook in hooks:
                hook.remove()


def _shapes(tensors: Iterable[Tensor]) -> list[torch.Size]:
    return [tensor.shape for tensor in tensors]


def disagreement(pairs: Iterable[tuple[Tensor, Tensor]]) -> float:
    """Return the largest difference, relative to the largest value of its tensor."""
    return float(np.max([0.0, *(_difference(a, b) for a, b in pairs if a.numel())]))


def _difference(one: Tensor, other: Tensor) -> float:
    kind = torch.complex128 if one.is_complex() else torch.float64
    one, other = one.detach().to(kind), other.detach().to(kind)
    return float((one - other).abs().max() / one.abs().max().clamp(1e-12))


def _random_double(tensor: Tensor) -> Tensor:
    return random_like(tensor.double() if tensor.is_floating_point() else tensor)


def random_like(tensor: Tensor) -> Tensor:
    """Return random numbers; indices stay, since random ones could be out of range."""
    random = torch.Generator().manual_seed(0)
    if tensor.dtype == torch.uint8:
        drawn = torch.randint(0, 256, tensor.shape, generator=random, dtype=torch.uint8)
    elif tensor.is_floating_point():
        drawn = torch.rand(tensor.shape, generator=random, dtype=torch.float64).to(tensor.dtype)
    else:
        return tensor
    return drawn.to(tensor.device)


def _first_line(error: BaseException) -> Any:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
