"""Follows every channel through a forward pass, operation by operation."""

import inspect
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _NormBase
from torch.nn.modules.dropout import _DropoutNd

from netadapt.pruning.attention_rules import AttentionRules
from netadapt.pruning.calls import Call, noted_calls
from netadapt.pruning.examples import Example, output_tensors, run, tensors_in
from netadapt.pruning.folding import CONVOLUTIONS
from netadapt.pruning.labels import LabelBook, fixed, varying
from netadapt.pruning.layer_rules import LayerRules
from netadapt.pruning.operations import ATTENTION, VIEWS, Operation, every_module_runs, named_scopes

ROOT_TYPES = (*CONVOLUTIONS, nn.Linear)
MORE_RUNS = 4  # in training, if layers have not run: some do by chance, or after a step

# operations that put what they are given elsewhere: they do to labels what they do to values
MOVES = {
    "_to_copy", "channel_shuffle", "clone", "flip", "index_select", "pixel_shuffle",
    "pixel_unshuffle", "repeat", "roll", "stack",
}  # fmt: skip
POINTWISE = {  # that torch, or torch 2.9, does not tag
    "bernoulli", "bernoulli_", "exponential_", "normal_", "uniform_",
    "fill_", "hardswish", "hardswish_", "hardtanh", "hardtanh_", "native_dropout", "zero_",
}  # fmt: skip
REDUCTIONS = {
    "all", "amax", "amin", "any", "argmax", "argmin", "linalg_vector_norm", "logsumexp", "max",
    "mean", "min", "norm", "prod", "std", "sum", "var", "var_mean",
}  # fmt: skip
ALONG_ONE = {"_softmax", "_safe_softmax", "_log_softmax", "cumsum", "cumprod"}
SPATIAL = re.compile(r"(pool|upsample|reflection_pad|replication_pad|grid_sampler)")


@dataclass(frozen=True)
class Sizing:
    """The labels behind the sizes of one operation; ``groups`` of a convolution by channels."""

    inputs: tuple[Tensor, ...]
    output: Tensor
    groups: Tensor | None = None


@dataclass(frozen=True)
class Flow:
    """Where the channels of a network come from and where they go.

    Attributes:
        operations: of ``forward`` in eval mode, as executed.
        sizings: one per operation.
        writes: for each module that writes or passes on channels, ``(channels,)`` labels; in
            the order of execution.
        deployed: those of ``writes`` that run in eval mode.
        reads: for each module that mixes channels, the ``(channels,)`` labels of its input.
        book: which labels can only be removed together.
        sliced: the labels of tensors of which only a part of the channels was taken.
        bypassed: layers whose weight is read without calling them.
        trains_otherwise: whether ``forward`` runs other operations in training mode.
        output: shapes of the output.
        calls: modules that give back the shape that they are given, by name.
    """

    operations: tuple[Operation, ...]
    sizings: tuple[Sizing, ...]
    writes: dict[str, Tensor]
    deployed: frozenset[str]
    reads: dict[str, Tensor]
    book: LabelBook
    sliced: tuple[Tensor, ...]
    bypassed: frozenset[str]
    trains_otherwise: bool
    output: tuple[tuple[int, ...], ...]
    calls: Mapping[str, Call]


def follow_channels(model: nn.Module, example_input: Example, approximate: bool = False) -> Flow:
    """Run ``model``, in eval mode and as in training, and follow its channels.

    If the model has ``training_outputs``, the layers that it reads are followed too.

    Args:
        model: the network.
        example_input: what it is run on.
        approximate: whether channels that a norm standardises together may be removed one by one.
    """
    running: list[str] = []
    modules = dict(model.named_modules())
    training_outputs = getattr(model, "training_outputs", None)
    with (
        torch.no_grad(),
        every_module_runs(),
        named_scopes(model, running),
        Follower(running, modules, approximate) as follower,
    ):
        follower.watch_input(example_input)
        with noted_calls(model, follower) as calls:
            output = run(model, example_input)
        count, deployed = len(follower.operations), frozenset(follower.writes)
        follower.note_unused(output)
        follower.keep_outputs(output)
        if training_outputs is not None:
            follower.keep_outputs(training_outputs(example_input))
        trained = follower.train(model, example_input)
        more = MORE_RUNS if trained is not None and follower.idle(model) else 0
        for _ in range(more):
            follower.train(model, example_input, grad=True)
    if trained is None or _waits_for_arguments(model, example_input):
        follower.lock_what_may_be_read(model)
    follower.lock_beside_constants()
    told = [(op.kind, op.module) for op in follower.operations[:count]]
    return Flow(
        tuple(follower.operations[:count]),
        tuple(follower.sizings[:count]),
        follower.writes,
        deployed,
        follower.reads,
        follower.book,
        tuple(follower.sliced),
        follower.bypassed(),
        trained is not None and trained != told,
        tuple(tuple(tensor.shape) for tensor in output_tensors(output)),
        calls,
    )


@contextmanager
def as_in_training(model: nn.Module) -> Iterator[None]:
    """While open, ``model`` takes the branches of training; norms and dropout stay in eval mode."""
    changed = [
        module
        for module in model.modules()
        if not module.training and not isinstance(module, (_NormBase, _DropoutNd))
    ]
    for module in changed:
        module.training = True
    try:
        yield
    finally:
        for module in changed:
            module.training = False


def is_training_only(model: nn.Module, name: str) -> bool:
    """Whether ``name`` is, or is of, a module that deployment never calls."""
    only: tuple[str, ...] = getattr(model, "training_only", ())
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in only)


def _waits_for_arguments(model: nn.Module, example_input: Example) -> bool:
    """Whether ``forward`` takes more than it is given."""
    try:
        parameters = inspect.signature(model.forward).parameters.values()
    except (TypeError, ValueError):
        return False
    named = [p.name for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
    return len(named) > (1 if isinstance(example_input, Tensor) else len(example_input))


class Follower(LayerRules, AttentionRules):  # type: ignore[no-untyped-call]
    """Follows the channels through all operations that run while it is open."""

    def __init__(
        self, running: Sequence[str], modules: dict[str, nn.Module], approximate: bool = False
    ) -> None:
        super().__init__(running, modules, approximate)
        self.sizings: list[Sizing] = []
        self._handlers: dict[str, Callable[[Any, Any], Tensor]] = {
            "convolution": self._convolution,
            "addmm": lambda args, result: self._linear(args[1], args[2], result),
            "mm": lambda args, result: self._linear(args[0], args[1], result),
            "native_batch_norm": self._batch_norm,
            "_native_batch_norm_legit_no_training": self._batch_norm,
            "_batch_norm_no_update": self._batch_norm,
            "cudnn_batch_norm": self._batch_norm,
            "native_group_norm": self._group_norm,
            "native_layer_norm": self._layer_norm,
            "_fused_rms_norm": self._layer_norm,
            "_prelu_kernel": self._prelu,
            "cat": self._concat,
            "constant_pad_nd": self._pad,
            "copy_": self._copied,
            "glu": self._gated,
            "bmm": self._batched,
            "baddbmm": self._batched_sum,
            **dict.fromkeys(ATTENTION, self._attention),
        }

    def keep_outputs(self, output: Any) -> None:
        """Lock the channels of the network's output."""
        self.settle(output)
        for tensor in output_tensors(output):
            self.book.lock(self._of(tensor), "its channels are the network's output")

    def train(
        self, model: nn.Module, example_input: Example, grad: bool = False
    ) -> list[tuple[str, str]] | None:
        """Follow ``forward`` as in training, with gradients if asked for.

        Returns:
            The kinds and modules of its operations; None if it cannot be run like that.
        """
        before = len(self.operations)
        try:
            with torch.random.fork_rng([]), as_in_training(model), torch.set_grad_enabled(grad):
                torch.default_generator.manual_seed(before)  # another branch may be taken by chance
                self.keep_outputs(run(model, example_input))
        except Exception:  # whatever it is that a foreign forward asks for in training
            self.settle()
            return None
        return [(operation.kind, operation.module) for operation in self.operations[before:]]

    def idle(self, model: nn.Module) -> list[str]:
        """Return the layers that have not run, though training may run them."""
        bypassed = self.bypassed()
        return [
            name
            for name, module in model.named_modules()
            if isinstance(module, ROOT_TYPES)
            and not (name in self.writes or name in bypassed or is_training_only(model, name))
        ]

    def lock_what_may_be_read(self, model: nn.Module) -> None:
        """Lock all channels that a layer which has not run could read, or be added to."""
        for name in self.idle(model):
            module: Any = model.get_submodule(name)
            linear = isinstance(module, nn.Linear)
            sizes = (
                {module.in_features, module.out_features}
                if linear
                else {module.in_channels, module.out_channels}
            )
            for sizing in self.sizings:
                labels = sizing.output
                dim = labels.dim() - 1 if linear else 1
                if dim in varying(labels) and labels.shape[dim] in sizes:
                    why = f"{name}, which does not run on the example input, may read them"
                    self.book.lock(labels, why)

    def bypassed(self) -> frozenset[str]:
        """Layers that have not run, but whose weight an operation has read directly."""
        return frozenset(
            name
            for name, module in self._by_name.items()
            if name not in self.writes and id(module._parameters.get("weight")) in self.used
        )

    def _followed(self, func: Any, name: str, args: Any, data: list[Tensor], result: Any) -> None:
        self._note_parameters(args)
        inputs = tuple(self._of(tensor) for tensor in data)
        labels = self._labelled(func, name, args, result)
        written = func._schema.is_mutable and name not in VIEWS
        for tensor, found in zip(tensors_in(result), labels, strict=False):
            self._set(tensor, found, written=written)
        if name not in VIEWS:
            groups = None
            if name == "convolution" and self._running_name in self._passed:
                groups = self._passed[self._running_name].view(args[8], -1)[:, 0]
            if name == "bmm":
                inputs = self._sized(inputs)
            self.sizings.append(Sizing(inputs, labels[0], groups))

    def _labelled(self, func: Any, name: str, args: Any, result: Any) -> list[Tensor]:
        """Return the labels of each tensor in ``result``."""
        outputs = list(tensors_in(result))
        if name in self._handlers:
            return [self._handlers[name](args, outputs[0])]
        if name in MOVES or name in VIEWS:
            return self._moved(func, name, args, outputs)
        if torch.Tag.pointwise in func.tags or name in POINTWISE or name.endswith("_like"):
            return [self._pointwise(args, outputs[0])] * len(outputs)
        if name in REDUCTIONS:
            return [self._reduced(func, args, outputs[0])] * len(outputs)
        if name in ALONG_ONE:
            labels = self._of(args[0])
            return [self._joined(labels, [args[1] % labels.dim()], "are normalised together")]
        if SPATIAL.search(name):
            return [self._spatial(name, args)] * len(outputs)
        return [self._unknown(name, args, output) for output in outputs]

    def _unknown(self, name: str, args: Any, output: Tensor) -> Tensor:
        for tensor in tensors_in(args):
            if self._depends_on_input(tensor):
                self.book.lock(
                    self._of(tensor), f"it is not known how {name} treats channels, and it is run"
                )
        return fixed(output)
