"""Which networks a profile times, and what they execute."""

import copy
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import lcm

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from netadapt.latency.predictor import subject_of
from netadapt.latency.workloads import Workload, WorkloadMap
from netadapt.profiling.design import (
    design_networks,
    extreme_networks,
    searched_networks,
    uniform_networks,
)
from netadapt.profiling.schedule import ProfileSchedule
from netadapt.pruning import PrunableModel
from netadapt.pruning.examples import Example, batch_of, mapped, run


@dataclass(frozen=True)
class Plan:
    """Which networks are timed, by ``(n, G)`` widths, and what they execute.

    Attributes:
        groups: the columns of widths.
        design: timed operation by operation.
        whole: timed whole; the first ``calibration_networks`` of the schedule calibrate.
        workloads: what the network of given widths executes.
        members: for each workload of a network, the places of its operations.
        subject: the network and its input, as the table remembers them.
        multiples: what the channel counts of each group are multiples of.
    """

    groups: tuple[str, ...]
    design: NDArray[np.int64]
    whole: NDArray[np.int64]
    workloads: Callable[[NDArray[np.int64]], tuple[Workload, ...]]
    members: tuple[tuple[int, ...], ...]
    subject: Mapping[str, str] = field(default_factory=dict)
    multiples: Mapping[str, int] = field(default_factory=dict)

    @property
    def base(self) -> NDArray[np.int64]:
        """The ``(G,)`` full widths; the base network is always one of ``whole``."""
        widths: NDArray[np.int64] = self.whole.max(axis=0)
        return widths

    def designed(self) -> set[Workload]:
        """The workloads of the designed networks."""
        return {one for row in self.design for one in self.workloads(row)}


def make_plan(prunable: PrunableModel, mapped: WorkloadMap, schedule: ProfileSchedule) -> Plan:
    """Choose the networks to time."""
    multiple = multiples_of(prunable, schedule.channel_multiple)
    count = schedule.calibration_networks + schedule.validation_networks
    rng = np.random.default_rng([schedule.seed, 1])
    whole = searched_networks(prunable.widths, count, multiple, rng)
    # the ends of the range pin the fixed cost down
    whole[:2] = extreme_networks(prunable.widths, multiple)
    return Plan(
        groups=tuple(prunable.groups),
        design=np.concatenate(
            [
                design_networks(mapped, prunable.widths, multiple, schedule.levels),
                uniform_networks(prunable.widths, schedule.uniform, multiple),
            ]
        ),
        whole=whole,
        workloads=mapped.at,
        members=tuple(unit.members for unit in mapped.units),
        subject=subject_of(prunable),
        multiples=multiple,
    )


def multiples_of(prunable: PrunableModel, multiple: int) -> dict[str, int]:
    """Return what the channel counts of each group are multiples of, its own step included."""
    found = {}
    for name, group in prunable.groups.items():
        both = lcm(multiple, group.step)
        found[name] = both if both <= group.width else group.step
    return found


def with_typical_statistics(prunable: PrunableModel) -> PrunableModel:
    """Return a copy whose batch norms see activations of unit scale.

    With untrained statistics activations can fade into denormal numbers, which are slow.
    """
    settled = copy.copy(prunable)
    settled.model = _settled(prunable.model, prunable.example)
    return settled


def _settled(model: nn.Module, example: Example) -> nn.Module:
    settled = copy.deepcopy(model).train()
    for module in settled.modules():
        if isinstance(module, _BatchNorm):
            module.momentum = 1.0
        elif isinstance(module, nn.Dropout):
            module.eval()
    random = torch.Generator().manual_seed(0)
    batch = batch_of(example)

    def drawn(tensor: Tensor) -> Tensor:
        """Two examples, of random numbers where they are no indices."""
        shape = (2, *tensor.shape[1:]) if len(tensor) == batch else tensor.shape
        if tensor.is_floating_point():
            return torch.rand(shape, generator=random).to(tensor.dtype)
        return tensor[:1].expand(shape) if len(tensor) == batch else tensor

    if any(isinstance(module, _BatchNorm) for module in settled.modules()):
        with torch.no_grad():
            run(settled, mapped(drawn, example))
    return settled.eval()
