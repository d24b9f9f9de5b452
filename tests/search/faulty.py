"""A tiny problem whose training batches strike: for searches with workers that fail."""

import os
import signal
import threading
from pathlib import Path

import torch
import torch.nn.functional as F
from search_case import made_up_table
from torch import nn
from torch.utils.data import TensorDataset

from netadapt.training import DatasetTask
from netadapt.training.checkpoint import load_model, save_checkpoint

SIZE = (16, 16)


def network():
    layers = []
    for given, channels in ((3, 16), (16, 24), (24, 16)):
        layers += [nn.Conv2d(given, channels, 3, padding=1), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(16, 4))


class FaultyTask(DatasetTask):
    """Strikes once for each file in a folder, when a training batch is asked for."""

    folder: Path

    def train_batch(self, draw, batch_size, seed):
        for fault in ("kill", "hang", "memory", "wait", "pause"):
            if self._claimed(fault):
                _strike(fault, self.folder)
        return super().train_batch(draw, batch_size, seed)

    def _claimed(self, fault):
        try:
            os.rename(self.folder / fault, self.folder / f"{fault}-claimed")
        except FileNotFoundError:  # none, or another worker was faster
            return False
        return True


def _strike(fault, folder):
    if fault == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if fault == "memory":
        raise torch.OutOfMemoryError("CUDA out of memory")
    if fault in ("wait", "pause"):  # in pipes, on whose other ends the test is
        import ray

        (folder / "reached").write_text(ray.get_runtime_context().get_node_id())
    if fault == "pause":
        (folder / "go-on").read_text()
        return
    threading.Event().wait()


def task(data, input_size):
    random = torch.Generator().manual_seed(0)
    images = torch.rand(64, 3, *SIZE, generator=random)
    labels = (4 * images.mean((1, 2, 3)) - 0.2).clamp(0, 3.9).long() + images[:, 0, 0, 0].gt(0.5)
    data_set = TensorDataset(images, labels.clamp(0, 3))
    made = FaultyTask(
        "faulty", data_set, data_set, data_set, F.cross_entropy, {"log_likelihood": _likelihood}
    )
    made.folder = Path(data)
    return made


def _likelihood(outputs, targets):
    return -F.cross_entropy(outputs, targets, reduction="none")


def faulty_case(folder):
    """Write a base and a table; return the arguments of a search, with no fault to strike."""
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        model = load_model("faulty:network").eval()
    save_checkpoint(model, folder / "base.safetensors", input_size=SIZE)
    (folder / "faults").mkdir()
    example = torch.rand(1, 3, *SIZE)
    return {
        "model": str(folder / "base.safetensors"),
        "task": "faulty:task",
        "data": str(folder / "faults"),
        "lut": str(made_up_table(folder, model, example, attached=False)),
        "short_steps": 2,
        "long_steps": 2,
        "long_points": 1,
        "batch_size": 8,
        "strategy": "netadapt",  # several candidates in an iteration
        "budget_ms": 2.75,
        "initial_reduction": 0.04,
        "decay": 1.0,
    }


def assert_same_end(run, undisturbed):
    """A run ended as if nothing had happened to it; its journal may tell what did."""
    for name in ("pareto.csv", "candidates.csv", "summary.json"):
        assert (run.folder / name).read_bytes() == (undisturbed.folder / name).read_bytes(), name
    assert run.final.read_bytes() == undisturbed.final.read_bytes()
    kept, expected = (
        {path.name for path in (one.folder / "checkpoints").iterdir()} for one in (run, undisturbed)
    )
    assert kept == expected


def assert_same(run, undisturbed):
    """As ``assert_same_end``, and nothing happened that a journal tells."""
    assert_same_end(run, undisturbed)
    journals = [(one.folder / "journal.jsonl").read_bytes() for one in (run, undisturbed)]
    assert journals[0] == journals[1]
