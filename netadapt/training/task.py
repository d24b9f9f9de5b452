"""A problem as training and search see it: training examples, a loss, and scores."""

import math
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import JsonValue
from torch import Tensor, nn

from netadapt.errors import UserError
from netadapt.pruning.examples import mapped

Split = Literal["holdout", "test"]
Scores = dict[str, float]
Targets = Tensor | dict[str, Tensor]
Inputs = Tensor | tuple[Tensor, ...] | dict[str, Any]  # as a network is called with


@dataclass(frozen=True)
class Samples:
    """Test images and the outputs of networks for them, for the pictures of a run.

    Attributes:
        names: names of the N images.
        images: ``(N, H, W, 3)`` RGB, uint8.
        truth: ``(N, H, W)``, 0 where unknown.
        answers: output ``(N, H, W)`` of each network, in the unit of ``truth``.
    """

    names: tuple[str, ...]
    images: NDArray[np.uint8]
    truth: NDArray[np.float32]
    answers: Mapping[str, NDArray[np.float32]]


class Task(ABC):
    """A problem: all that training and search need to know of it.

    Attributes:
        name: the kind of problem, such as ``depth``.
        primary: the score by which networks are compared, a key of what ``score`` returns.
        higher_is_better: whether a higher value of ``primary`` is better.
        metrics: the names of all scores.
        reported: those of ``metrics`` that a search reports beside ``primary`` by default.
        spec: the word given to ``--data``, for messages.
        input_size: ``(H, W)`` of its inputs; None where they are no images.
        note: what the user should know of the data, in one line; may be empty.
        data_files: files and folders of the data. A resumed search or training notices if a file
            there was added, removed or changed its size.
        recordable: whether ``loss`` does the same operations on every batch of one shape, whatever
            the values in it. Training on CUDA then records a step and replays it, which is several
            times as fast for small networks.
        scoring: choices that affect the scores, such as a protocol; ``--json`` prints them.
    """

    name: str
    primary: str
    higher_is_better: bool
    metrics: tuple[str, ...]
    reported: tuple[str, ...] = ()
    spec: str
    input_size: tuple[int, int] | None = None
    note: str = ""
    data_files: tuple[Path, ...] = ()
    recordable: bool = False
    scoring: Mapping[str, JsonValue] = {}

    @property
    def input_shape(self) -> tuple[int, ...]:
        """``(C, H, W)`` of one input, or the shape of whatever else the network takes alone.

        Raises:
            UserError: inputs are no images, and the task does not say what they are.
        """
        if self.input_size is None:
            raise UserError(
                f"task {self.name} does not say what its inputs are; give --input NAME=SIZES for "
                "each, as in left=1x3x64x64"
            )
        return (3, *self.input_size)

    @abstractmethod
    def train_batch(self, draw: int, batch_size: int, seed: int) -> tuple[Any, Targets]:
        """Return the ``draw``-th batch, from 0, of an endless stream of augmented examples.

        It must be a function of its arguments only: batches are made in any order, by several
        threads, and again after an interruption.

        Returns:
            inputs ``(N, C, H, W)``, and targets ``(N, ...)``: one tensor, or several by name; all
            on the CPU. Networks of several inputs get a tuple of them, or a dictionary by name.
        """

    @abstractmethod
    def batches_per_epoch(self, batch_size: int) -> int:
        """Return how many batches show every training example about once."""

    @abstractmethod
    def loss(self, model: nn.Module, inputs: Any, targets: Targets) -> Tensor:
        """Run ``model`` on a batch and return the scalar to be minimised, float32.

        It may be called under bfloat16 autocast: convert outputs to float32 before arithmetic
        that needs it. Do not change the batch in place: candidates share it.
        """

    @abstractmethod
    def score(self, model: nn.Module, split: Split) -> Scores:
        """Score ``model`` on a split, on the model's device, in eval mode; its mode is restored.

        Candidates are chosen on ``holdout``; ``test`` is only reported.
        """

    @abstractmethod
    def check(self, model: nn.Module) -> None:
        """Raise a ``UserError`` unless ``model`` takes this data and its outputs fit the loss."""

    def prepare(self, model: nn.Module) -> None:  # noqa: B027  (a hook, not a duty)
        """Adjust layers that were never trained to the data, in place. The default does nothing.

        Called before the first step of every training, wherever the weights come from: a network
        of the registry, a checkpoint, or a file given as ``init_from``. It must not change layers
        that were trained.
        """

    def samples(self, networks: Mapping[str, nn.Module]) -> Samples | None:
        """Return the outputs of ``networks`` for a few test images, or ``None``.

        The networks are on the CPU, in eval mode.
        """
        return None

    def better(self, score: float, than: float | None) -> bool:
        """Whether ``score`` (of ``primary``) is better than another; any beats None and NaN."""
        if than is None or math.isnan(than):
            return True
        return score > than if self.higher_is_better else score < than


def inputs_on(inputs: Inputs, device: torch.device | str) -> Any:
    """Return ``inputs`` on ``device``, images channels-last, without waiting where it can be."""

    def moved(tensor: Tensor) -> Tensor:
        layout = torch.channels_last if tensor.dim() == 4 else torch.preserve_format
        return tensor.to(device, memory_format=layout, non_blocking=True)

    return mapped(moved, inputs)


def channels_last(model: nn.Module) -> nn.Module:
    """Lay the weights of 2-d convolutions out channels-last, in place."""
    for parameter in model.parameters():
        if parameter.dim() == 4:
            parameter.data = parameter.data.to(memory_format=torch.channels_last)
    return model


def on_device(targets: Targets, device: torch.device) -> Targets:
    """Return ``targets`` on ``device``; the copy is asynchronous if the memory is pinned."""
    if isinstance(targets, Tensor):
        return targets.to(device, non_blocking=True)
    return {name: values.to(device, non_blocking=True) for name, values in targets.items()}


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put ``model`` in eval mode without gradients; restore the mode of every module afterwards."""
    modes = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, training in modes.items():
            module.training = training
