"""FastDepth's decoder on any encoder of timm, and the decoders its paper compares it with."""

import itertools
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from netadapt.depth.models.encoders import normalise_for, require_multiple, timm_network
from netadapt.depth.models.fastdepth import conv_norm, depthwise, pointwise, start_answering
from netadapt.errors import UserError

SKIP_STRIDES = (2, 4, 8)
LAST_WIDTH = 32
DECODERS = ("depthwise", "plain")
SKIPS = ("add", "concat", "none")


class FastDepthVariant(nn.Module):
    """Depth from one photograph: ``(N, 3, H, W)`` RGB in [0, 1] -> ``(N, 1, H, W)`` metres.

    Each stage of the decoder is a 5x5 convolution and a nearest upsampling, at whose end the
    encoder's features of strides 2, 4 and 8 come in. A stage is as wide as the encoder's features
    of that stride, the last one 32. ``H`` and ``W`` are multiples of the encoder's largest stride.

    With timm's ``mobilenetv1_100``, ``depthwise`` and ``add`` it is FastDepth, but for names and
    for normalising its input: 3.96 million parameters, 0.74 GMACs at 224x224. With ``none`` it is
    as large, with ``concat`` 4.02 and 0.85, ``plain`` with ``none`` 20.67 and 3.78.

    Args:
        encoder: a network of timm that gives features ``(N, C, H, W)`` at doubling strides.
        decoder: ``depthwise``-separable convolutions, or ``plain`` ones (``NNConv5``).
        skips: ``add``, ``concat`` or ``none``.
        imagenet: start the encoder from timm's weights (needs the network once).

    Raises:
        UserError: an option that is none of those, or ImageNet weights that cannot be had.
    """

    def __init__(
        self,
        encoder: str = "mobilenetv1_100",
        decoder: str = "depthwise",
        skips: str = "add",
        imagenet: bool = False,
    ) -> None:
        super().__init__()
        if decoder not in DECODERS or skips not in SKIPS:
            raise UserError(
                f"FastDepth has no decoder {decoder!r} with skips {skips!r}; decoders: "
                f"{', '.join(DECODERS)}; skips: {', '.join(SKIPS)}"
            )
        self.encoder = timm_network(encoder, imagenet, features_only=True)
        self.normalise = normalise_for(self.encoder)
        self._strides = _strides(encoder, self.encoder)
        self._joined = skips
        features = dict(zip(self._strides, self.encoder.feature_info.channels(), strict=True))
        stride = max(features)
        given = features[stride]
        self.decoder = nn.ModuleDict()
        while stride > 1:
            stride //= 2
            width = LAST_WIDTH if stride == 1 else features.get(stride, math.ceil(given / 2))
            self.decoder[str(stride)] = _stage(decoder, given, width)
            given = 2 * width if skips == "concat" and self._has_skip(stride) else width
        self.head = pointwise(given, 1)
        for conv in [*self.decoder.modules(), *self.head.modules()]:
            if isinstance(conv, nn.Conv2d):
                nn.init.kaiming_normal_(conv.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, image: Tensor) -> Tensor:
        """Return depth in metres, ``(N, 1, H, W)``."""
        require_multiple(image, max(self._strides), "this network")
        features = dict(zip(self._strides, self.encoder(self.normalise(image)), strict=True))
        x = features[max(features)]
        for name, stage in self.decoder.items():
            x = F.interpolate(stage(x), scale_factor=2, mode="nearest")
            if self._has_skip(int(name)):
                skip = features[int(name)]
                x = x + skip if self._joined == "add" else torch.cat([x, skip], dim=1)
        depth: Tensor = self.head(x)
        return depth

    def _has_skip(self, stride: int) -> bool:
        return self._joined != "none" and stride in SKIP_STRIDES and stride in self._strides

    def set_depth_statistics(self, mean: float, std: float) -> None:
        """Make a fresh head answer, while training, with this mean and deviation (metres)."""
        start_answering(self.head, mean, std)


def _strides(name: str, encoder: nn.Module) -> list[int]:
    info = encoder.feature_info
    strides: list[int] = info.reduction()  # type: ignore[operator, union-attr]
    channels_last = str(getattr(encoder, "output_fmt", "NCHW")).endswith("NHWC")
    doubling = all(2 * a == b for a, b in itertools.pairwise(strides))
    if channels_last or not doubling or strides[-1] & (strides[-1] - 1):
        raise UserError(
            f"FastDepth's decoder needs features (N, C, H, W) at doubling strides; timm's {name} "
            f"gives them at {', '.join(map(str, strides))}"
            + (", channels last" if channels_last else "")
        )
    return strides


def _stage(decoder: str, given: int, width: int) -> nn.Sequential:
    if decoder == "depthwise":
        return nn.Sequential(depthwise(given), pointwise(given, width))
    return nn.Sequential(*conv_norm(given, width, 5))
