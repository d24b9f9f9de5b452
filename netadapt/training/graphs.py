"""Training steps recorded once and replayed: small networks on a GPU wait for Python otherwise."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from netadapt.pruning.examples import mapped, tensors_in
from netadapt.training.task import Inputs, Targets

Backward = Callable[[Inputs, Targets], Tensor]
WARM_UP = 3  # steps run as they are before one is recorded: they allocate what a step needs


@dataclass
class _Recording:
    """A recorded step: what it reads, what it leaves behind, and its graph."""

    graph: torch.cuda.CUDAGraph
    read: list[Tensor]
    gradients: list[Tensor | None]
    loss: Tensor


class RecordedBackward:
    """Runs ``backward`` on CUDA, from the fourth step on as one replayed CUDA graph.

    The results are those of ``backward``: the same kernels run in the same order. Launching a
    step of FastDepth kernel by kernel takes several times as long as its kernels do.

    Args:
        model: the network whose gradients ``backward`` computes.
        backward: adds up the gradients of a batch on the device and returns its loss. What Python
            decides in it must not depend on values of tensors.
    """

    def __init__(self, model: nn.Module, backward: Backward) -> None:
        self._parameters = list(model.parameters())
        self._backward = backward
        device = self._parameters[0].device
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._steps = 0
        self._refused = False
        self._recording: _Recording | None = None

    def __call__(self, inputs: Inputs, targets: Targets) -> Tensor:
        """Leave the gradients of a batch, on the device, in the parameters; return its loss."""
        self._steps += 1
        if self._steps <= WARM_UP:
            return self._beside(inputs, targets)
        given = list(tensors_in([inputs, targets]))
        if self._recording is None and not self._refused:
            self._recording = self._recorded(inputs, targets)
        recording = self._recording
        if recording is None or not _alike(given, recording.read):
            return self._backward(inputs, targets)
        torch._foreach_copy_(recording.read, given)
        recording.graph.replay()
        for parameter, gradient in zip(self._parameters, recording.gradients, strict=True):
            parameter.grad = gradient
        return recording.loss.clone()

    def _beside(self, inputs: Inputs, targets: Targets) -> Tensor:
        """Run a step on another stream, as recordings need it (CUDA semantics, PyTorch notes)."""
        current = torch.cuda.current_stream(self._stream.device)
        self._stream.wait_stream(current)
        with torch.cuda.stream(self._stream):
            loss = self._backward(inputs, targets)
        current.wait_stream(self._stream)
        return loss

    def _recorded(self, inputs: Inputs, targets: Targets) -> _Recording | None:
        inputs, targets = mapped(torch.clone, inputs), mapped(torch.clone, targets)
        graph = torch.cuda.CUDAGraph()
        for parameter in self._parameters:
            parameter.grad = None
        try:
            with torch.cuda.graph(graph, stream=self._stream, capture_error_mode="thread_local"):
                loss = self._backward(inputs, targets)
        except RuntimeError:  # something waits for the GPU, which a recording cannot contain
            self._refused = True
            return None
        read = list(tensors_in([inputs, targets]))
        return _Recording(graph, read, [p.grad for p in self._parameters], loss)


def _alike(given: list[Tensor], read: list[Tensor]) -> bool:
    return len(given) == len(read) and all(
        new.shape == old.shape and new.dtype == old.dtype and new.stride() == old.stride()
        for new, old in zip(given, read, strict=True)
    )
