"""Runs any network in float64, even if its ``forward`` asks for other types."""

from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from netadapt.pruning.dispatch import OperationMode

COARSE = {torch.float16, torch.bfloat16, torch.float32}


class Float64(OperationMode):  # type: ignore[no-untyped-call]
    """While open, every operation reads and returns float64 where it asks for float32 or less.

    ``x.float()``, ``autocast``, ``torch.zeros(...)`` and ``torch.linspace(...)`` in a forward pass
    then return float64. A tensor that was made before and is written in place keeps its type.

    Attributes:
        changed: whether any operation asked for another type than float64.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.changed = False

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        written = args[:1] if func._schema.is_mutable else ()
        keep = {id(value) for value in written}

        def wide(value: Any) -> Any:
            kind = value.dtype if isinstance(value, Tensor) else value
            if not isinstance(kind, torch.dtype) or kind not in COARSE or id(value) in keep:
                return value
            self.changed = True
            return value.double() if isinstance(value, Tensor) else torch.float64

        kwargs = {name: tree_map(wide, value) for name, value in (kwargs or {}).items()}
        result = func(*tree_map(wide, args), **kwargs)
        return result if written else tree_map(wide, result)
