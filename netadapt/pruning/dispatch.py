"""Modes that see every operation of a forward pass."""

from torch.utils._python_dispatch import TorchDispatchMode


class OperationMode(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """A dispatch mode that leaves the compiler of PyTorch alone.

    By default PyTorch wraps ``__torch_dispatch__`` so that its first call imports the compiler,
    which takes seconds in each process.
    """

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False
