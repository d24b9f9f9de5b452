"""The network that a search starts from, traced, and the task it is for."""

import copy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import nn

from netadapt.models import ModelSpec
from netadapt.models.inputs import named_example, remembered_inputs
from netadapt.pruning import PrunableModel, trace
from netadapt.search.settings import SearchSettings
from netadapt.training.checkpoint import load_seeded
from netadapt.training.recipes import recipe_for
from netadapt.training.task import Task
from netadapt.training.tasks import open_task
from netadapt.training.trial import remember_inputs


@dataclass
class BaseNetwork:
    """All that evaluating candidates needs, built once per process, each part at first use.

    Attributes:
        settings: of the search.
        weights: what ``load_model`` takes, or a network, which is copied.
        batch: inputs per run on the target; the network is traced at it.
        precision: of the target; candidates are scored in int8 where it is ``int8``.
    """

    settings: SearchSettings
    weights: nn.Module | Path | str
    batch: int
    precision: str = "fp32"

    @cached_property
    def model(self) -> nn.Module:
        """The network with its weights, in eval mode; fresh weights follow the run's seed."""
        if isinstance(self.weights, nn.Module):
            model = copy.deepcopy(self.weights).cpu().eval()
        else:
            weights, output = self.weights, self.settings.output
            model = load_seeded(weights, self.settings.seed, output=output).eval()
        if self.settings.inputs:
            remember_inputs(model, self.settings.inputs)
        return model

    @cached_property
    def task(self) -> Task:
        """Data, loss and scores; the input size is the one asked for, or the checkpoint's."""
        settings, spec = self.settings, self.model.spec
        assert isinstance(spec, ModelSpec)
        recipe = recipe_for(spec.name, settings.task)
        size = settings.input_size or spec.input_size
        options = {**recipe.task_options, **settings.task_options}
        return open_task(recipe.task, settings.data, size, options)

    @property
    def input_size(self) -> tuple[int, int] | None:
        """``(height, width)`` of the task's inputs; None where they are no images."""
        return self.task.input_size

    @cached_property
    def example_input(self) -> Any:
        """``(N, C, H, W)`` with N the target's batch; or the network's several inputs."""
        named = remembered_inputs(self.model)
        if named and self.settings.input_size is None:
            return named_example(named, self.model, self.batch)
        random = torch.Generator().manual_seed(0)
        return torch.rand((self.batch, *self.task.input_shape), generator=random)

    @cached_property
    def prunable(self) -> PrunableModel:
        """The network, traced."""
        settings = self.settings
        return trace(
            self.model,
            self.example_input,
            settings.lock,
            settings.allow_approximate,
            settings.blocks,
        )
