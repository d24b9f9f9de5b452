"""Learning from the unpruned network beside the truth."""

import copy
from typing import Any

import torch
from torch import Tensor, nn

from netadapt.pruning.examples import output_tensors, run, tensors_in
from netadapt.training.task import Targets, Task, channels_last
from netadapt.training.wrapped import WrappedTask

WEIGHT = 1.0  # of the teacher beside the truth, in units of the outputs


class DistilledTask(WrappedTask):
    """A task whose loss also contains the difference from a teacher's outputs.

    Args:
        task: the problem.
        teacher: a network with the same inputs and outputs; copied, and never trained.

    Source: Hinton et al., Distilling the Knowledge in a Neural Network, 2015, with the mean
    absolute difference of the outputs in place of their cross-entropy.
    """

    def __init__(self, task: Task, teacher: nn.Module) -> None:
        super().__init__(task)
        self._teacher = channels_last(copy.deepcopy(teacher).eval())

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
        with torch.no_grad():
            device = next(tensors_in(inputs)).device
            wanted = output_tensors(run(self._teacher.to(device), inputs))
        differences = [
            (answer.float() - want.float()).abs().mean()
            for answer, want in zip(answers, wanted, strict=True)
        ]
        return loss + WEIGHT * torch.stack(differences).mean()
