"""ImageNet weights for a MobileNetV1 encoder, from timm's ``mobilenetv1_100``."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from netadapt.depth.models.encoders import timm_network

TIMM_MODEL = "mobilenetv1_100"


def load_imagenet_encoder(model: nn.Module) -> None:
    """Load ImageNet weights into ``conv0`` to ``conv13`` of ``model``, in place.

    timm's network takes normalised RGB and ours takes RGB in [0, 1]: the normalisation is
    folded into the first layer (see :func:`fold_normalisation`).

    Raises:
        UserError: the weights are not in the cache and cannot be downloaded.
    """
    pretrained = timm_network(TIMM_MODEL, imagenet=True)
    model.load_state_dict(encoder_state(pretrained), strict=False)
    stem, norm = model.get_submodule("conv0.0"), model.get_submodule("conv0.1")
    assert isinstance(stem, nn.Conv2d)
    assert isinstance(norm, nn.BatchNorm2d)
    trained_on: Any = pretrained.pretrained_cfg
    fold_normalisation(stem, norm, trained_on["mean"], trained_on["std"])


def encoder_state(mobilenet: nn.Module) -> dict[str, Tensor]:
    """Return the tensors of timm's ``mobilenetv1_100`` under FastDepth's names."""
    blocks = [
        block
        for stage in mobilenet.get_submodule("blocks").children()
        for block in stage.children()
    ]
    parts = {
        "conv0.0": mobilenet.get_submodule("conv_stem"),
        "conv0.1": mobilenet.get_submodule("bn1"),
    }
    for place, block in enumerate(blocks, start=1):
        layers = {0: "conv_dw", 1: "bn1", 3: "conv_pw", 4: "bn2"}
        for index, name in layers.items():
            parts[f"conv{place}.{index}"] = block.get_submodule(name)
    return {
        f"{name}.{key}": tensor
        for name, module in parts.items()
        for key, tensor in module.state_dict().items()
    }


@torch.no_grad()
def fold_normalisation(
    conv: nn.Conv2d, norm: nn.BatchNorm2d, mean: Sequence[float], std: Sequence[float]
) -> None:
    """Make ``norm(conv(x))`` what it was for ``(x - mean) / std``, in place.

    Exact wherever the kernel lies inside the image; at the border the zero padding now stands
    for black and not for ``mean``.
    """
    weight = conv.weight / torch.tensor(std).view(1, -1, 1, 1)
    shift = (weight * torch.tensor(mean).view(1, -1, 1, 1)).sum(dim=(1, 2, 3))
    conv.weight.copy_(weight)
    assert norm.running_mean is not None
    norm.running_mean += shift
