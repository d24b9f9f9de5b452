"""Running any network in float64, whatever types its ``forward`` fixes."""

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_map

COARSE = {torch.float16, torch.bfloat16, torch.float32}


class Float64(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While open, every operation reads and gives float64, though float32 or less be asked for.

    ``x.float()``, ``autocast``, ``torch.zeros(...)`` and ``torch.linspace(...)`` in a forward pass
    give float64 then. What has been made before and is written in place keeps its type.

    Attributes:
        changed: whether anything but float64 was asked for.
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
