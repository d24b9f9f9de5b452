"""A clock of the test's own: true latencies that the table has wrong, on a machine that drifts."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from search_case import made_up_table
from torch import nn
from torch.utils.data import TensorDataset

from netadapt.search import clock
from netadapt.training import DatasetTask
from netadapt.training.checkpoint import load_model, save_checkpoint

SIZE = (8, 8)
CHANNELS = (128, 96, 128, 64)

ROUNDS = 6
Speed = Callable[[float], float]  # seconds of the clock to how much longer everything takes


def true_ms(model: nn.Module) -> float:
    """What ``model`` takes on an undisturbed machine; ``made_up_us`` of the table is otherwise."""
    total = 0.0
    for module in model.modules():
        if isinstance(module, nn.Conv2d):
            share = 1 if module.groups > 1 else module.out_channels / 8
            total += 350 + 5.5 * module.in_channels * share
    return total / 1000


class FakeClock:
    """Stands in for ``timed_rounds``; the machine's speed changes with every visit.

    Args:
        speed: how much longer everything takes, by the number of the visit.
        noise: standard deviation of a visit's relative error.
        slow_loads: every so many loaded networks, one runs 1.7 times slow as long as it is loaded.
    """

    def __init__(
        self, speed: Speed = lambda _: 1.0, noise: float = 0.0, slow_loads: int = 0
    ) -> None:
        self.visits = self.loads = self.calls = 0
        self._speed, self._noise, self._slow_loads = speed, noise, slow_loads
        self._random = np.random.default_rng(0)

    def __call__(self, models: Sequence[nn.Module], *_: object) -> clock.Rounds:
        self.calls += 1
        factors = []
        for _model in models:
            self.loads += 1
            slow = self._slow_loads and self.loads % self._slow_loads == 0
            factors.append(1.7 if slow else 1.0)
        found = np.zeros((len(models), ROUNDS))
        for visit in range(ROUNDS):
            for place in self._random.permutation(len(models)):
                self.visits += 1
                error = 1 + self._noise * abs(self._random.standard_normal())
                ms = true_ms(models[place]) * factors[place]
                found[place, visit] = ms * self._speed(self.visits) * error
        return clock.Rounds(found)

    def install(self, patch: pytest.MonkeyPatch) -> "FakeClock":
        """Take the place of the machine's clock, which is attached then."""
        patch.setattr(clock, "timed_rounds", self)
        patch.setattr(clock, "why_not_attached", lambda target: None)
        return self


def network() -> nn.Sequential:
    """A network of groups so wide that a channel is a small step."""
    layers: list[nn.Module] = []
    given = 3
    for channels in CHANNELS:
        layers += [nn.Conv2d(given, channels, 3, padding=1), nn.ReLU()]
        given = channels
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(given, 4))


def task(data: str | None, input_size: tuple[int, int] | None) -> DatasetTask:
    """Tell brightness apart."""
    random = torch.Generator().manual_seed(0)
    images = torch.rand(32, 3, *SIZE, generator=random)
    examples = TensorDataset(images, (images.mean((1, 2, 3)) * 8 - 2).clamp(0, 3).long())

    def likelihood(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return -F.cross_entropy(outputs, targets, reduction="none")

    return DatasetTask(
        "brightness", examples, examples, examples, F.cross_entropy, {"likelihood": likelihood}
    )


def fine_case(folder: Path) -> dict[str, object]:
    """Write a base and a table of this machine that is all wrong; return arguments of a search."""
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        model = load_model("fake_clock:network").eval()
    save_checkpoint(model, folder / "base.safetensors", input_size=SIZE)
    table = made_up_table(folder, model, torch.rand(1, 3, *SIZE), attached=True)
    return {
        "model": str(folder / "base.safetensors"),
        "task": "fake_clock:task",
        "lut": str(table),
        "batch_size": 4,
        "channel_multiple": 1,
        "lowest_share": 0.25,
    }
