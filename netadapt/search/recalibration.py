"""Recalibrating batch norms: what a pruned network can be scored by before any fine-tuning."""

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from netadapt.pruning.examples import placed, run
from netadapt.training.task import Task


def recalibrate(model: nn.Module, task: Task, batches: int, batch_size: int, seed: int) -> None:
    """Replace the statistics of all batch norms by those over ``batches`` training batches.

    No weight changes. The mode of every module and the momentum of its norms are restored.

    Source: Li et al., EagleEye, ECCV 2020, section 3.3 (adaptive batch normalisation).
    """
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    modes = {module: module.training for module in model.modules()}
    device = next(model.parameters()).device
    model.eval()
    try:
        for norm in norms:
            norm.reset_running_stats()
            norm.momentum = None  # the average over all batches
            norm.train()
        with torch.no_grad():
            for draw in range(batches):
                run(model, placed(task.train_batch(draw, batch_size, seed)[0], device))
    finally:
        for norm, momentum in zip(norms, momenta, strict=True):
            norm.momentum = momentum
        for module, training in modes.items():
            module.training = training
