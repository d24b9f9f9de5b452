"""Parameters and multiply-accumulates of a network as deployed, counted layer by layer."""

import torch
from torch import nn

from netadapt.models import build


def deployed_size(name: str, size: tuple[int, int], **options: object) -> tuple[float, float]:
    """Return millions of parameters and GMACs; nothing is computed, so any size is quick."""
    with torch.device("meta"):
        model = build(name, **options).eval()
    unused = tuple(f"{part}." for part in getattr(model, "training_only", ()))
    parameters = sum(
        parameter.numel()
        for path, parameter in model.named_parameters()
        if not path.startswith(unused)
    )
    macs = 0

    def count(layer: nn.Module, _: object, output: torch.Tensor) -> None:
        nonlocal macs
        places = output.shape[-2] * output.shape[-1] if isinstance(layer, nn.Conv2d) else 1
        macs += layer.weight.numel() * places

    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(count)
    with torch.no_grad():
        model(torch.zeros(1, 3, *size, device="meta"))
    return parameters / 1e6, macs / 1e9
