"""ImageNet weights for a MobileNetV1 encoder, from timm's ``mobilenetv1_100``."""

from collections.abc import Mapping
from itertools import chain
from typing import Any

from torch import nn

from netadapt.depth.models.encoders import timm_network
from netadapt.models.initialise import initialise
from netadapt.models.weights import PublishedWeights

TIMM_MODEL = "mobilenetv1_100"
STAGES = (1, 2, 2, 6, 2)  # separable blocks in each stage
LAYERS = {"conv_dw": 0, "bn1": 1, "conv_pw": 3, "bn2": 4}  # of a block, and where FastDepth has it


def _timm_names() -> dict[str, str]:
    blocks = chain.from_iterable(
        ((stage, block) for block in range(count)) for stage, count in enumerate(STAGES)
    )
    return {"conv_stem": "conv0.0", "bn1": "conv0.1"} | {
        f"blocks.{stage}.{block}.{layer}": f"conv{place}.{index}"
        for place, (stage, block) in enumerate(blocks, start=1)
        for layer, index in LAYERS.items()
    }


TIMM_NAMES: Mapping[str, str] = _timm_names()  # {layer of mobilenetv1_100: layer of FastDepth}


def load_imagenet_encoder(model: nn.Module) -> None:
    """Load ImageNet weights into ``conv0`` to ``conv13`` of ``model``, in place.

    timm's network takes normalised RGB and ours takes RGB in [0, 1]: the normalisation is
    folded into the first layer.

    Raises:
        UserError: the weights are not in the cache and cannot be downloaded.
    """
    pretrained = timm_network(TIMM_MODEL, imagenet=True)
    trained_on: Any = pretrained.pretrained_cfg
    initialise(
        model,
        PublishedWeights(
            f"timm's {TIMM_MODEL}",
            pretrained.state_dict(),
            tuple(trained_on["mean"]),
            tuple(trained_on["std"]),
            pretrained.get_submodule("bn1").eps,
        ),
    )
