"""Learning from the unpruned network beside the truth."""

import copy
from collections.abc import MutableMapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.weak import WeakIdKeyDictionary

from netadapt.pruning.examples import output_tensors, run, tensors_in
from netadapt.training.task import Targets, Task, channels_last
from netadapt.training.wrapped import WrappedTask

WEIGHT = 1.0  # of the teacher beside the truth, in units of the outputs


class Teacher:
    """A copy of a network that answers in eval mode, and never learns.

    On the CPU an answer is kept as long as the batch it belongs to. All candidates that are
    compared learn from the same batches, so that the teacher answers once for all of them. Answers
    to several tensors, and those larger than the batch, are not kept.
    """

    def __init__(self, network: nn.Module) -> None:
        self._network = channels_last(copy.deepcopy(network).eval())
        self._kept: MutableMapping[Tensor, list[Tensor]] = WeakIdKeyDictionary()

    def answers(self, inputs: Any) -> list[Tensor]:
        """Return the tensors that the network answers ``inputs`` with."""
        if isinstance(inputs, Tensor) and inputs in self._kept:
            return self._kept[inputs]
        device = next(tensors_in(inputs)).device
        with torch.no_grad():
            found = output_tensors(run(self._network.to(device), inputs))
        small = isinstance(inputs, Tensor) and sum(one.nbytes for one in found) <= inputs.nbytes
        if small and device.type == "cpu":  # on CUDA a recorded step has one tensor for all batches
            self._kept[inputs] = found
        return found


class DistilledTask(WrappedTask):
    """A task whose loss also contains the difference from a teacher's outputs.

    Args:
        task: the problem.
        teacher: it answers as a network of the same inputs and outputs.

    Source: Hinton et al., Distilling the Knowledge in a Neural Network, 2015, with the mean
    absolute difference of the outputs in place of their cross-entropy.
    """

    def __init__(self, task: Task, teacher: Teacher) -> None:
        super().__init__(task)
        self._teacher = teacher

    def loss(self, model: nn.Module, inputs: Any, targets: Targets) -> Tensor:
        """Return the task's loss plus the mean absolute difference from the teacher's outputs."""
        answers: list[Tensor] = []
        hook = model.register_forward_hook(
            lambda _, __, output: answers.extend(output_tensors(output))
        )
        try:
            loss = self.task.loss(model, inputs, targets)
        finally:
            hook.remove()
        if not answers:  # the task's loss reads something else than what the network answers
            answers = output_tensors(run(model, inputs))
        differences = [
            (answer.float() - want.float()).abs().mean()
            for answer, want in zip(answers, self._teacher.answers(inputs), strict=True)
        ]
        return loss + WEIGHT * torch.stack(differences).mean()
