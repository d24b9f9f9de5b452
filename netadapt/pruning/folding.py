"""Layers that compute their weight (standardised or parametrised), and plain ones instead.

Such a weight depends on every channel that the layer reads: without one of them, all others would
change. A plain layer that holds the computed weight gives the same output and can be cut. From then
on it trains as a plain layer.
"""

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.modules.linear import NonDynamicallyQuantizableLinear
from torch.nn.utils import parametrize

from netadapt.errors import UserError
from netadapt.pruning.dispatch import OperationMode

TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, *TRANSPOSED)


class SamePadded(nn.Conv2d):
    """A convolution that pads its input so that ``ceil(size / stride)`` positions are left."""

    def forward(self, x: Tensor) -> Tensor:
        """Return ``(N, out, ceil(H / stride), ceil(W / stride))``."""
        sides = zip(x.shape[2:], self.kernel_size, self.stride, self.dilation, strict=True)
        padding: list[int] = []
        for size, kernel, stride, dilation in sides:
            reach = (math.ceil(size / stride) - 1) * stride + dilation * (kernel - 1) + 1
            missing = max(reach - size, 0)
            padding = [missing // 2, missing - missing // 2, *padding]
        return super().forward(F.pad(x, padding))


PLAIN = {*CONVOLUTIONS, nn.Linear, NonDynamicallyQuantizableLinear, SamePadded}


def computes_weight(module: nn.Module) -> bool:
    """Whether a convolution or linear layer multiplies by anything but its own ``weight``."""
    if not isinstance(module, (*CONVOLUTIONS, nn.Linear)):
        return False
    if parametrize.is_parametrized(module, "weight") or "weight" not in module._parameters:
        return True
    if type(module) in PLAIN:
        return False
    used, _ = _used_weight(module)
    return used.untyped_storage().data_ptr() != module.weight.untyped_storage().data_ptr()


def weight_of(module: Any) -> Tensor:
    """Return the weight of a convolution or linear layer, computed as in eval mode."""
    if "weight" in module._parameters:
        weight: Tensor = module.weight
        return weight
    return _used_weight(module)[0]


def fold(model: nn.Module, name: str) -> nn.Module:
    """Replace module ``name`` of ``model`` by a plain layer if it computes its weight.

    Returns:
        The module of that name, as it is now.

    Raises:
        UserError: a plain layer would not give the same output.
    """
    module = model.get_submodule(name)
    if not computes_weight(module):
        return module
    plain: nn.Module = _plain(module)
    plain.train(module.training)
    for path, found in list(model.named_modules(remove_duplicate=False)):
        if found is module:
            model.set_submodule(path, plain)
    return plain


def fold_all(model: nn.Module) -> None:
    """Fold, in place, every layer that can be folded."""
    for name, module in list(model.named_modules()):
        if name and computes_weight(module):
            try:
                fold(model, name)
            except UserError:
                continue


def _plain(module: Any) -> Any:
    """Return a plain layer with the weight that ``module`` computes."""
    used, wanted = _used_weight(module)
    for kind in _kinds(module):
        plain = _unfilled(module, kind, used)
        with torch.no_grad():
            plain.weight.copy_(used)
            if plain.bias is not None:
                plain.bias.copy_(module.bias)
            got = plain(_probe(module))
        if got.shape == wanted.shape and torch.allclose(got, wanted, rtol=1e-4, atol=1e-6):
            plain.requires_grad_(any(parameter.requires_grad for parameter in module.parameters()))
            return plain
    raise UserError(
        f"{type(module).__name__} computes its weight and does more than a plain layer would"
    )


def _kinds(module: nn.Module) -> list[Any]:
    """The plain layers that could replace ``module``."""
    kind = next(kind for kind in (*CONVOLUTIONS, nn.Linear) if isinstance(module, kind))
    return [kind, SamePadded] if kind is nn.Conv2d else [kind]


def _unfilled(module: Any, kind: Any, weight: Tensor) -> Any:
    placed = {"device": weight.device, "dtype": weight.dtype}
    if isinstance(module, nn.Linear):
        return kind(module.in_features, module.out_features, module.bias is not None, **placed)
    names = ["stride", "padding", "dilation", "groups", "padding_mode"]
    if isinstance(module, TRANSPOSED):
        names.append("output_padding")
    return kind(
        module.in_channels,
        module.out_channels,
        module.kernel_size,
        bias=module.bias is not None,
        **{name: getattr(module, name) for name in names},
        **placed,
    )


def _used_weight(module: nn.Module) -> tuple[Tensor, Tensor]:
    """Return the weight that ``module`` multiplies its input by, and its output for a probe."""
    training = [part.training for part in module.modules()]
    module.eval()
    try:
        with torch.no_grad(), _WeightWatch() as watch:  # type: ignore[no-untyped-call]
            output = module(_probe(module))
    finally:
        for part, was in zip(module.modules(), training, strict=True):
            part.training = was
    if watch.weight is None:
        raise UserError(f"{type(module).__name__} runs no convolution or matrix product")
    return watch.weight, output


def _probe(module: Any) -> Tensor:
    any_parameter = next(module.parameters())
    random = torch.Generator().manual_seed(0)
    if isinstance(module, nn.Linear):
        shape: tuple[int, ...] = (2, module.in_features)
    else:
        extent = zip(module.kernel_size, module.dilation, module.stride, strict=True)
        sides = [dilation * (kernel - 1) + 1 + stride for kernel, dilation, stride in extent]
        sides[-1] += 1  # a layer may pad an odd side as a plain one does, and an even one not
        shape = (1, module.in_channels, *sides)
    return torch.rand(shape, generator=random).to(any_parameter)


class _WeightWatch(OperationMode):  # type: ignore[no-untyped-call]
    weight: Tensor | None = None

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        if name == "convolution":
            self.weight = args[1]
        elif name in ("addmm", "mm"):
            self.weight = args[-1].t()
        return func(*args, **(kwargs or {}))
