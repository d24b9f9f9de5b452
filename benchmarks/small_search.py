"""A search too small to be of use, for scripts that look at the engine and not at the network."""

import sys
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import TensorDataset

import netadapt
from netadapt.training import DatasetTask

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "search"))

from search_case import made_up_table

SIZE = (8, 8)
CHANNELS = 128


def network() -> nn.Module:
    layers: list[nn.Module] = []
    given = 3
    for _ in range(4):
        layers += [nn.Conv2d(given, CHANNELS, 1), nn.ReLU()]
        given = CHANNELS
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(given, 4))


def task(data: str | None, input_size: tuple[int, int] | None) -> DatasetTask:
    random = torch.Generator().manual_seed(0)
    images = torch.rand(32, 3, *SIZE, generator=random)
    examples = TensorDataset(images, (images.mean((1, 2, 3)) * 8 - 2).clamp(0, 3).long())
    scores = {
        "likelihood": lambda outputs, targets: -F.cross_entropy(outputs, targets, reduction="none")
    }
    return DatasetTask("small", examples, examples, examples, F.cross_entropy, scores)


def arguments(folder: Path) -> dict[str, Any]:
    """Write a base and a table into ``folder``; return the arguments of a search."""
    torch.manual_seed(0)
    model = netadapt.load_model("small_search:network").eval()
    netadapt.save_checkpoint(model, folder / "base.safetensors", input_size=SIZE)
    table = made_up_table(folder, model, torch.rand(1, 3, *SIZE), attached=False)
    return {
        "model": str(folder / "base.safetensors"),
        "task": "small_search:task",
        "lut": str(table),
        "short_steps": 1,
        "long_steps": 1,
        "long_points": 1,
        "batch_size": 4,
        "channel_multiple": 1,
        "lowest_share": 0.2,
    }
