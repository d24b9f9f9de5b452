"""A task made of three datasets, a loss and scores, for users who need no class of their own."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from netadapt.errors import UserError
from netadapt.pruning.examples import placed, run
from netadapt.training.order import drawn
from netadapt.training.task import Scores, Split, Targets, Task, evaluating
from netadapt.training.trial import trial_run

EVALUATION_BATCH = 64


class Examples(Protocol):
    """Any map-style dataset of ``torch.utils.data``."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> Any: ...


class DatasetTask(Task):
    """Learns from ``(input, target)`` pairs.

    Args:
        name: the name of the problem.
        train, holdout, test: datasets of ``(input, target)``: a float tensor, ``(C, H, W)`` for
            images, or a dictionary of the network's inputs by name; and a tensor or a number. The
            same index must give the same pair every time.
        loss: ``(outputs, targets) -> scalar``, such as those of ``torch.nn.functional``.
        scores: ``{name: (outputs, targets) -> (N,)}``, one value per example; a split's score is
            the mean over its examples. Networks are compared by the first score.
        higher_is_better: whether a higher value of the first score is better.
        augment: ``(input, rng) -> input``; all randomness must come from ``rng``, a
            ``numpy.random.Generator``.

    Raises:
        UserError: an empty dataset, or no score.
    """

    def __init__(
        self,
        name: str,
        train: Examples,
        holdout: Examples,
        test: Examples,
        loss: Callable[[Tensor, Tensor], Tensor],
        scores: Mapping[str, Callable[[Tensor, Tensor], Tensor]],
        *,
        higher_is_better: bool = True,
        augment: Callable[[Any, np.random.Generator], Any] | None = None,
    ) -> None:
        splits = {"train": train, "holdout": holdout, "test": test}
        empty = [split for split, examples in splits.items() if not len(examples)]
        if empty:
            raise UserError(f"task {name}: the {empty[0]} split is empty")
        if not scores:
            raise UserError(f"task {name} has no score; give at least one")
        self.name = self.spec = name
        self.metrics = tuple(scores)
        self.primary = self.metrics[0]
        self.higher_is_better = higher_is_better
        self._splits = splits
        self._loss, self._scores, self._augment = loss, scores, augment
        first = train[0][0]
        self._shape = None if isinstance(first, Mapping) else tuple(torch.as_tensor(first).shape)
        if self._shape is not None and len(self._shape) == 3:
            self.input_size = (self._shape[1], self._shape[2])

    @property
    def input_shape(self) -> tuple[int, ...]:
        """The shape of one input, ``(C, H, W)`` for images. Raises ``UserError`` if several."""
        return super().input_shape if self._shape is None else self._shape

    def train_batch(self, draw: int, batch_size: int, seed: int) -> tuple[Any, Tensor]:
        """Return inputs ``(N, C, H, W)`` and targets ``(N, ...)`` of the ``draw``-th batch."""
        train = self._splits["train"]
        examples = []
        for epoch, index in drawn(len(train), draw, batch_size, seed):
            example, target = train[index]
            if self._augment is not None:
                example = self._augment(example, np.random.default_rng([seed, epoch, index]))
            examples.append((example, target))
        return _stacked(examples)

    def batches_per_epoch(self, batch_size: int) -> int:
        """How many batches show every training example about once."""
        return max(1, round(len(self._splits["train"]) / batch_size))

    def loss(self, model: nn.Module, inputs: Any, targets: Targets) -> Tensor:
        """Return the loss of the model's outputs, in float32."""
        assert isinstance(targets, Tensor)
        return self._loss(run(model, inputs).float(), targets)

    def score(self, model: nn.Module, split: Split) -> Scores:
        """Return the mean of every score over the examples of a split."""
        examples = self._splits[split]
        device = next(model.parameters()).device
        totals = dict.fromkeys(self.metrics, 0.0)
        with evaluating(model):
            for start in range(0, len(examples), EVALUATION_BATCH):
                stop = min(start + EVALUATION_BATCH, len(examples))
                inputs, targets = _stacked([examples[index] for index in range(start, stop)])
                outputs = run(model, placed(inputs, device)).float()
                targets = targets.to(device)
                for name, function in self._scores.items():
                    values = self._each(name, function(outputs, targets), stop - start)
                    totals[name] += float(values.sum(dtype=torch.float64))
        return {name: total / len(examples) for name, total in totals.items()}

    def check(self, model: nn.Module) -> None:
        """Raise a ``UserError`` unless loss and scores can be computed from the model's outputs."""
        inputs, targets = _stacked([self._splits["train"][0]])
        outputs = trial_run(model, inputs)
        try:
            outputs = outputs.float()
            self._loss(outputs, targets)
            for name, function in self._scores.items():
                self._each(name, function(outputs, targets), 1)
        except UserError:
            raise
        except Exception as error:  # the user's own functions may raise anything
            shape = tuple(getattr(outputs, "shape", ())) or type(outputs).__name__
            raise UserError(
                f"{type(model).__name__} returns {shape}, from which task {self.name} cannot "
                f"compute its loss and scores: {type(error).__name__}: {error}"
            ) from error

    def _each(self, name: str, values: Tensor, examples: int) -> Tensor:
        if values.shape != (examples,):
            raise UserError(
                f"task {self.name}: score {name} of {examples} examples is {tuple(values.shape)}; "
                "return one value per example"
            )
        return values


def _stacked(examples: Sequence[tuple[Any, Any]]) -> tuple[Any, Tensor]:
    inputs = _batch([example for example, _ in examples])
    return inputs, torch.stack([torch.as_tensor(target) for _, target in examples])


def _batch(examples: Sequence[Any]) -> Any:
    if isinstance(examples[0], Mapping):
        return {name: _batch([one[name] for one in examples]) for name in examples[0]}
    return torch.stack([torch.as_tensor(example) for example in examples])
