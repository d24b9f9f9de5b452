"""FastDepth (Wofk et al., ICRA 2019): MobileNetV1 encoder, depthwise-separable decoder, skip-adds.

Structure and parameter names are those of ``MobileNetSkipAdd`` in the authors' repository
(github.com/dwofk/fast-depth, models.py), so its state dicts load with ``strict=True``.
"""

import math
from collections.abc import Mapping, Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from netadapt.depth.models.encoders import require_multiple
from netadapt.depth.models.imagenet import TIMM_NAMES, load_imagenet_encoder
from netadapt.errors import UserError
from netadapt.models.spec import ModelSpec

STRIDES = (2, 1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)
SKIPS = {2: 5, 3: 3, 4: 1}  # decoder stage -> the encoder block whose output is added to it
DOWNSAMPLING = 32
MAX_CHANNELS = 8192

ENCODER_GROUPS = ("conv0.0", *(f"conv{block}.3" for block in range(1, 14)))
DECODER_GROUPS = {1: "decode_conv1.1.0", 5: "decode_conv5.1.0"}
GROUPS = (*ENCODER_GROUPS, *DECODER_GROUPS.values())

Widths = str | Mapping[str, int] | tuple[Sequence[int], Sequence[int]] | None


def fastdepth_widths(encoder: Sequence[int], decoder: Sequence[int]) -> dict[str, int]:
    """Return the widths of the 16 channel groups from those of the layers.

    Args:
        encoder: output channels of ``conv0`` to ``conv13``.
        decoder: output channels of ``decode_conv1`` to ``decode_conv5``; stages 2, 3 and 4 are
            added to ``conv5``, ``conv3`` and ``conv1`` and must be as wide.

    Raises:
        UserError: a wrong number of widths, or a skip whose two sides differ.
    """
    if len(encoder) != 14 or len(decoder) != 5:
        raise UserError(
            f"FastDepth has 14 encoder and 5 decoder widths, not {len(encoder)} and {len(decoder)}"
        )
    for stage, block in SKIPS.items():
        if decoder[stage - 1] != encoder[block]:
            raise UserError(
                f"decode_conv{stage} has {decoder[stage - 1]} channels and conv{block}, which is "
                f"added to it, has {encoder[block]}; make them equal"
            )
    widths = dict(zip(ENCODER_GROUPS, encoder, strict=True))
    return widths | {name: decoder[stage - 1] for stage, name in DECODER_GROUPS.items()}


PRESETS = {
    "full": fastdepth_widths(
        (32, 64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024),
        (512, 256, 128, 64, 32),
    ),
    "pruned": fastdepth_widths(
        (16, 56, 88, 120, 144, 256, 408, 376, 272, 288, 296, 328, 480, 512),
        (200, 256, 120, 56, 16),
    ),
}


class FastDepth(nn.Module):
    """Depth from one photograph: ``(N, 3, H, W)`` RGB in [0, 1] -> ``(N, 1, H, W)`` metres.

    ``H`` and ``W`` are multiples of 32. The module names are the official ones: ``conv0`` to
    ``conv13``, ``decode_conv1`` to ``decode_conv6``.

    Args:
        widths: None or ``"full"``; ``"pruned"`` (the authors' pruned network);
            ``{group name: channels}``, a group left out being full; or the pair that
            :func:`fastdepth_widths` takes.
        imagenet: start the encoder from timm's ``mobilenetv1_100`` (needs the network once);
            the full encoder only.

    Raises:
        UserError: unknown groups or presets, widths that do not fit together, or ImageNet
            weights that cannot be had.
    """

    def __init__(self, widths: Widths = None, imagenet: bool = False) -> None:
        super().__init__()
        complete = _complete(widths)
        encoder = [complete[name] for name in ENCODER_GROUPS]
        decoder = [
            complete[ENCODER_GROUPS[SKIPS[stage]] if stage in SKIPS else DECODER_GROUPS[stage]]
            for stage in range(1, 6)
        ]
        self.conv0 = nn.Sequential(*conv_norm(3, encoder[0], 3, STRIDES[0], activation=nn.ReLU6))
        for block in range(1, 14):
            self.add_module(
                f"conv{block}", _separable(encoder[block - 1], encoder[block], STRIDES[block])
            )
        given = encoder[-1]
        for stage, channels in enumerate(decoder, start=1):
            self.add_module(
                f"decode_conv{stage}", nn.Sequential(depthwise(given), pointwise(given, channels))
            )
            given = channels
        self.decode_conv6 = pointwise(given, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                fan = module.kernel_size[0] * module.kernel_size[1] * module.out_channels
                nn.init.normal_(module.weight, 0.0, math.sqrt(2.0 / fan))
        options = {} if complete == PRESETS["full"] else {"widths": complete}
        self.spec = ModelSpec("fastdepth", options)
        if imagenet:
            if any(complete[name] != PRESETS["full"][name] for name in ENCODER_GROUPS):
                raise UserError("ImageNet weights fit the full encoder only; leave out the widths")
            load_imagenet_encoder(self)

    def forward(self, image: Tensor) -> Tensor:
        """Return depth in metres, ``(N, 1, H, W)``, for RGB ``(N, 3, H, W)`` in [0, 1]."""
        require_multiple(image, DOWNSAMPLING, "FastDepth")
        x = image
        skips = {}
        for block in range(14):
            x = self.get_submodule(f"conv{block}")(x)
            if block in SKIPS.values():
                skips[block] = x
        for stage in range(1, 6):
            x = self.get_submodule(f"decode_conv{stage}")(x)
            x = F.interpolate(x, scale_factor=2, mode="nearest")
            if stage in SKIPS:
                x = x + skips[SKIPS[stage]]
        depth: Tensor = self.decode_conv6(x)
        return depth

    @property
    def published_names(self) -> Mapping[str, str]:
        """The encoder's layers as timm's ``mobilenetv1_100`` calls them."""
        return TIMM_NAMES

    def set_depth_statistics(self, mean: float, std: float) -> None:
        """Make a fresh head answer, while training, with this mean and deviation (metres).

        The head ends in a BN, so the output of an untrained network has mean 0 and deviation 1
        whatever the data; its scale and bias move too slowly to learn metres. A trained head
        stays as it is.
        """
        start_answering(self.decode_conv6, mean, std)


def _complete(widths: Widths) -> dict[str, int]:
    if widths is None:
        widths = "full"
    if isinstance(widths, str):
        if widths not in PRESETS:
            raise UserError(f"unknown FastDepth widths {widths!r}; known: {', '.join(PRESETS)}")
        return dict(PRESETS[widths])
    if not isinstance(widths, Mapping):
        widths = fastdepth_widths(*widths)
    for name, width in widths.items():
        if name not in GROUPS:
            raise UserError(
                f"FastDepth has no channel group {name!r}; its groups are {', '.join(GROUPS)}"
            )
        if type(width) is not int or not 1 <= width <= MAX_CHANNELS:
            raise UserError(
                f"FastDepth's group {name} cannot have {width!r} channels; give 1 to {MAX_CHANNELS}"
            )
    return {name: widths.get(name, full) for name, full in PRESETS["full"].items()}


def _separable(given: int, channels: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        *conv_norm(given, given, 3, stride, given, nn.ReLU6),
        *conv_norm(given, channels, 1, activation=nn.ReLU6),
    )


def depthwise(channels: int) -> nn.Sequential:
    """The 5x5 half of a decoder stage; the channels stay."""
    return nn.Sequential(*conv_norm(channels, channels, 5, groups=channels))


def pointwise(given: int, channels: int) -> nn.Sequential:
    """The 1x1 half of a decoder stage."""
    return nn.Sequential(*conv_norm(given, channels, 1))


def conv_norm(
    given: int,
    channels: int,
    kernel: int,
    stride: int = 1,
    groups: int = 1,
    activation: type[nn.Module] = nn.ReLU,
) -> list[nn.Module]:
    """A convolution without bias, its batch norm and activation."""
    return [
        nn.Conv2d(given, channels, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(channels),
        activation(inplace=True),
    ]


def start_answering(head: nn.Sequential, mean: float, std: float) -> None:
    """Make a head that :func:`pointwise` made answer, while training, with mean and deviation.

    A head that was trained stays as it is: its batch norm has seen data.
    """
    norm = head[1]
    assert isinstance(norm, nn.BatchNorm2d)
    assert norm.running_mean is not None
    assert norm.running_var is not None
    if norm.running_mean.any() or (norm.running_var != 1).any():
        return
    nn.init.constant_(norm.weight, std)
    nn.init.constant_(norm.bias, mean)
