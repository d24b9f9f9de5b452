"""Recorded steps with a stand-in for CUDA: what is copied, replayed, and run as it is."""

from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from netadapt.training import graphs


class FakeGraph:
    """Keeps what ran while it was recorded, and runs it again."""

    recorded: Any = None

    def replay(self):
        self.recorded()


class FakeCuda:
    """As much of ``torch.cuda`` as a recording needs, on the CPU."""

    CUDAGraph = FakeGraph

    def __init__(self, backward: "Counted", refuses: bool = False):
        self.backward, self.refuses = backward, refuses

    def Stream(self, device):  # noqa: N802
        return SimpleNamespace(device=device, wait_stream=lambda other: None)

    current_stream = Stream

    @contextmanager
    def stream(self, stream):
        yield

    @contextmanager
    def graph(self, graph, stream, capture_error_mode):
        assert capture_error_mode == "thread_local"  # other threads copy batches meanwhile
        if self.refuses:
            raise RuntimeError("operation not permitted when stream is capturing")
        self.backward.recording = True
        yield
        self.backward.recording = False
        inputs, targets, loss, gradients = self.backward.last

        def again():
            new = self.backward.compute(inputs, targets)
            loss.copy_(new)
            for parameter, gradient in zip(
                self.backward.model.parameters(), gradients, strict=True
            ):
                gradient.copy_(parameter.grad)
                parameter.grad = None

        graph.recorded = again


class Counted:
    """The gradients of a small network, and how often they were computed as they are."""

    def __init__(self):
        torch.manual_seed(0)
        self.model = nn.Linear(3, 1)
        self.runs, self.recording = 0, False
        self.last: Any = None

    def compute(self, inputs: Tensor, targets: Tensor) -> Tensor:
        for parameter in self.model.parameters():
            parameter.grad = None
        loss = (self.model(inputs) - targets).square().mean()
        torch.autograd.backward(loss)
        return loss.detach()

    def __call__(self, inputs: Any, targets: Any) -> Tensor:
        loss = self.compute(inputs, targets)
        if self.recording:
            self.last = inputs, targets, loss, [p.grad for p in self.model.parameters()]
        else:
            self.runs += 1
        return loss


def step(backward: Any, model: nn.Module, rows: int, seed: int) -> tuple[Tensor, list[Tensor]]:
    for parameter in model.parameters():
        parameter.grad = None
    chance = torch.Generator().manual_seed(seed)
    inputs, targets = torch.rand(rows, 3, generator=chance), torch.rand(rows, 1, generator=chance)
    loss = backward(inputs, targets)
    found = [parameter.grad for parameter in model.parameters()]
    assert all(gradient is not None for gradient in found)
    return loss, [gradient.clone() for gradient in found if gradient is not None]


def test_every_step_gives_the_gradients_of_its_own_batch(monkeypatch):
    counted, plain = Counted(), Counted()
    monkeypatch.setattr(torch, "cuda", FakeCuda(counted))
    recorded = graphs.RecordedBackward(counted.model, counted)
    losses = []
    for seed in range(8):
        ours, theirs = step(recorded, counted.model, 4, seed), step(plain, plain.model, 4, seed)
        torch.testing.assert_close(ours, theirs)
        losses.append(ours[0])
    assert counted.runs == graphs.WARM_UP  # the others were replayed
    assert len({float(loss) for loss in losses}) == 8  # each loss is kept, not overwritten


def test_a_batch_of_another_shape_runs_as_it_is(monkeypatch):
    counted, plain = Counted(), Counted()
    monkeypatch.setattr(torch, "cuda", FakeCuda(counted))
    recorded = graphs.RecordedBackward(counted.model, counted)
    for seed, rows in enumerate((4, 4, 4, 4, 3, 4)):
        ours, theirs = (
            step(recorded, counted.model, rows, seed),
            step(plain, plain.model, rows, seed),
        )
        torch.testing.assert_close(ours, theirs)
    assert counted.runs == graphs.WARM_UP + 1


def test_what_cannot_be_recorded_runs_as_it_is(monkeypatch):
    counted, plain = Counted(), Counted()
    monkeypatch.setattr(torch, "cuda", FakeCuda(counted, refuses=True))
    recorded = graphs.RecordedBackward(counted.model, counted)
    for seed in range(6):
        torch.testing.assert_close(
            step(recorded, counted.model, 4, seed), step(plain, plain.model, 4, seed)
        )
    assert counted.runs == 6
