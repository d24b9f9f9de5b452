"""What a search knows of a problem: examples to learn from, a loss, and scores."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import JsonValue
from torch import Tensor, nn

Split = Literal["holdout", "test"]
Scores = dict[str, float]
Targets = Tensor | dict[str, Tensor]


@dataclass(frozen=True)
class Samples:
    """Test images and what networks answer to them, for the pictures of a run.

    Attributes:
        names: of the images, ``N``.
        images: ``(N, H, W, 3)`` RGB, uint8.
        truth: ``(N, H, W)``, 0 where unknown.
        answers: ``(N, H, W)`` of each network, in the unit of ``truth``.
    """

    names: tuple[str, ...]
    images: NDArray[np.uint8]
    truth: NDArray[np.float32]
    answers: Mapping[str, NDArray[np.float32]]


class Task(ABC):
    """A problem: everything training and search ask of data.

    Attributes:
        name: the kind of problem, such as ``depth``.
        primary: the score that counts, a key of what ``score`` returns.
        higher_is_better: whether more of ``primary`` is better.
        metrics: all scores it gives.
        reported: those of ``metrics`` that a search reports beside ``primary`` unless told others.
        spec: the word that opened its data, as given to ``--data``, for messages.
        input_size: ``(H, W)`` of its inputs.
        note: what the user should know of the data, in one line.
        data_files: files and folders that the data lie in. A search or training that goes on
            notices if a file there has come, gone or changed its size.
        scoring: how it scores, as far as it can be chosen; printed beside scores as JSON.
    """

    name: str
    primary: str
    higher_is_better: bool
    metrics: tuple[str, ...]
    reported: tuple[str, ...] = ()
    spec: str
    input_size: tuple[int, int]
    note: str = ""
    data_files: tuple[Path, ...] = ()
    scoring: Mapping[str, JsonValue] = {}

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """``(C, H, W)`` of one input."""
        return (3, *self.input_size)

    @abstractmethod
    def train_batch(self, draw: int, batch_size: int, seed: int) -> tuple[Tensor, Targets]:
        """Return the ``draw``-th batch, from 0, of an endless stream of augmented examples.

        A function of its arguments alone, so that batches can be made in any order, by any
        thread, and again after an interruption.

        Returns:
            inputs ``(N, C, H, W)`` and targets ``(N, ...)``, one tensor or several by name, on
            the CPU.
        """

    @abstractmethod
    def batches_per_epoch(self, batch_size: int) -> int:
        """How many batches show every training example about once."""

    @abstractmethod
    def loss(self, model: nn.Module, inputs: Tensor, targets: Targets) -> Tensor:
        """Run ``model`` on a batch and return the scalar to be minimised, float32.

        It may be called under bfloat16 autocast; turn outputs to float32 before arithmetic that
        needs it. The batch is not to be changed in place: candidates share it.
        """

    @abstractmethod
    def score(self, model: nn.Module, split: Split) -> Scores:
        """Score ``model`` on a split, on the model's device, in eval mode; its mode is restored.

        Candidates are chosen on ``holdout``; ``test`` is only ever reported.
        """

    @abstractmethod
    def check(self, model: nn.Module) -> None:
        """Raise a ``UserError`` unless ``model`` takes this data and answers as the loss needs."""

    def prepare(self, model: nn.Module) -> None:  # noqa: B027  (a hook, not a duty)
        """Adjust layers that were never trained to the data, in place; nothing by default.

        Called before the first step of every training, whatever the weights come from: a network
        of the registry, a checkpoint, or a file given as ``init_from``. Layers that were trained
        are to be left as they are.
        """

    def samples(self, networks: Mapping[str, nn.Module]) -> Samples | None:
        """Return what ``networks`` answer to a few test images; ``None`` if nothing can be drawn.

        The networks are on the CPU, in eval mode.
        """
        return None

    def better(self, score: float, than: float | None) -> bool:
        """Whether ``score`` (of ``primary``) beats another; anything beats None and NaN."""
        if than is None or math.isnan(than):
            return True
        return score > than if self.higher_is_better else score < than


def on_device(targets: Targets, device: torch.device) -> Targets:
    """Return ``targets`` on ``device``, copied without waiting where memory is pinned."""
    if isinstance(targets, Tensor):
        return targets.to(device, non_blocking=True)
    return {name: values.to(device, non_blocking=True) for name, values in targets.items()}


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put ``model`` in eval mode without gradients, and every module back in its own mode after."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, training in modes.items():
            module.training = training
