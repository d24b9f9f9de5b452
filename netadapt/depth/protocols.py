"""The ways in which papers score depth maps, by name.

A protocol says which part of a photograph the network sees, which pixels count, and what is
done to the prediction before it is compared. Depths are in metres.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional as F

from netadapt.depth.metrics import MIN_DEPTH
from netadapt.errors import UserError

DEFAULT = "fastdepth"


@dataclass(frozen=True)
class Crop:
    """A rectangle, in pixels of an image of ``whole`` (H, W); ``bottom`` and ``right`` are outside.

    On an image of another size it covers the same part of it, its edges rounded down to pixels.
    """

    top: float
    bottom: float
    left: float
    right: float
    whole: tuple[float, float]

    def mask(self, size: tuple[int, int]) -> Tensor:
        """True inside, ``(H, W)``, on an image of ``size``."""
        (height, width), (rows, columns) = size, self.whole
        inside = torch.zeros(size, dtype=torch.bool)
        inside[
            int(self.top * height / rows) : int(self.bottom * height / rows),
            int(self.left * width / columns) : int(self.right * width / columns),
        ] = True
        return inside


@dataclass(frozen=True)
class Protocol:
    """How depth maps are scored; the metrics themselves are those of ``DepthScores``.

    Attributes:
        name: of the command line.
        source: where it is defined.
        view: ``central``: the network sees the middle of the photograph, as in training, and is
            compared at its input size; ``full``: it sees the whole photograph, resized to its
            input size, and is compared at the size the depth was measured at.
        crop: the part of the ground truth that counts; ``None``: all of it.
        caps: only truth between these counts, and predictions are held between them;
            ``None``: any truth above 0 counts, and predictions are left alone.
        scaling: ``median``: each prediction is multiplied by the ratio of the medians of truth
            and prediction over the pixels that count; a number: by that.
        flip: predict the mirrored photograph too, and average.
        mask: ``truth``: pixels with ground truth count; ``union``: those with ground truth or
            a prediction above 0.
        resize: what is interpolated to bring a prediction to the truth's size: ``depth``, or
            its inverse, ``disparity``.
    """

    name: str
    source: str
    view: Literal["central", "full"] = "full"
    crop: Crop | None = None
    caps: tuple[float, float] | None = None
    scaling: Literal["median"] | float = 1.0
    flip: bool = False
    mask: Literal["truth", "union"] = "truth"
    resize: Literal["depth", "disparity"] = "depth"


EIGEN_NYU = Crop(45, 471, 41, 601, (480, 640))
DENSEDEPTH_NYU = Crop(20, 460, 24, 616, (480, 640))
EIGEN_KITTI = Crop(0.3324324, 0.91351351, 0.0359477, 0.96405229, (1, 1))
GARG = Crop(0.40810811, 0.99189189, 0.03594771, 0.96405229, (1, 1))
ROOM, STREET = (1e-3, 10.0), (1e-3, 80.0)
STEREO_BASELINE = 5.4

PROTOCOLS = {
    protocol.name: protocol
    for protocol in (
        Protocol("fastdepth", "Wofk et al., ICRA 2019, section IV", view="central"),
        Protocol(
            "fastdepth-official",
            "metrics.py of the FastDepth authors",
            view="central",
            mask="union",
        ),
        Protocol(
            "eigen-nyu",
            "crop of Eigen et al., NeurIPS 2014, section 4.1",
            crop=EIGEN_NYU,
            caps=ROOM,
        ),
        Protocol(
            "densedepth-nyu",
            "Alhashim and Wonka, arXiv:1812.11941, section 4",
            crop=DENSEDEPTH_NYU,
            caps=ROOM,
            flip=True,
        ),
        Protocol(
            "lapdepth-nyu",
            "Song et al., IEEE TCSVT 2021, section IV",
            crop=EIGEN_NYU,
            caps=ROOM,
            flip=True,
        ),
        Protocol(
            "eigen-kitti",
            "crop of Eigen et al., NeurIPS 2014, section 4.2",
            crop=EIGEN_KITTI,
            caps=STREET,
        ),
        Protocol("garg-kitti", "Garg et al., ECCV 2016, section 4", crop=GARG, caps=STREET),
        Protocol(
            "lapdepth-kitti",
            "Song et al., IEEE TCSVT 2021, section IV",
            crop=GARG,
            caps=STREET,
            flip=True,
        ),
        Protocol(
            "monodepth2",
            "Godard et al., ICCV 2019, section 4.1; trained on single videos",
            crop=GARG,
            caps=STREET,
            scaling="median",
            resize="disparity",
        ),
        Protocol(
            "monodepth2-stereo",
            "Godard et al., ICCV 2019, section 4.1; trained on stereo pairs",
            crop=GARG,
            caps=STREET,
            scaling=STEREO_BASELINE,
            resize="disparity",
        ),
    )
}


def protocol_named(name: str) -> Protocol:
    """Look a protocol up; a ``UserError`` lists those there are."""
    if name not in PROTOCOLS:
        raise UserError(f"unknown protocol {name!r}; known: {', '.join(PROTOCOLS)}")
    return PROTOCOLS[name]


def predicted(answer: Callable[[Tensor], Tensor], images: Tensor, protocol: Protocol) -> Tensor:
    """What a network answers to ``images`` ``(N, 3, H, W)``, flipped and averaged if so defined."""
    outputs = answer(images)
    if protocol.flip:
        outputs = (outputs + answer(images.flip(3)).flip(3)) / 2
    return outputs


def compared(outputs: Tensor, targets: Tensor, protocol: Protocol) -> tuple[Tensor, Tensor, Tensor]:
    """Prepare predictions ``(N, 1, h, w)`` for comparison with ``targets`` ``(N, 1, H, W)``.

    Returns:
        predictions brought to the targets' size, scaled and held between the caps; the targets;
        and which pixels count. All of the targets' shape.
    """
    outputs = _resized(outputs.float(), targets, protocol.resize)
    valid = targets > 0
    if protocol.mask == "union":
        valid = valid | (outputs > 0)
    if protocol.caps is not None:
        low, high = protocol.caps
        valid = valid & (targets > low) & (targets < high)
    if protocol.crop is not None:
        size = targets.shape[2], targets.shape[3]
        valid = valid & protocol.crop.mask(size).to(valid.device)
    outputs = _scaled(outputs, targets, valid, protocol.scaling)
    if protocol.caps is not None:
        outputs = outputs.clamp(*protocol.caps)
    return outputs, targets, valid


def _resized(outputs: Tensor, targets: Tensor, what: Literal["depth", "disparity"]) -> Tensor:
    size = targets.shape[2:]
    if outputs.shape[2:] == size:
        return outputs
    if what == "disparity":
        disparity = 1 / outputs.clamp(min=MIN_DEPTH)
        return 1 / F.interpolate(disparity, size, mode="bilinear", align_corners=False)
    return F.interpolate(outputs, size, mode="bilinear", align_corners=False)


def _scaled(
    outputs: Tensor, targets: Tensor, valid: Tensor, scaling: Literal["median"] | float
) -> Tensor:
    if scaling != "median":
        return outputs * scaling
    scaled = []
    for output, target, counts in zip(outputs, targets, valid, strict=True):
        if counts.any():
            output = output * (_median(target[counts]) / _median(output[counts]))
        scaled.append(output)
    return torch.stack(scaled)


def _median(values: Tensor) -> Tensor:
    """The mean of the two in the middle, where their number is even."""
    ordered = values.sort().values
    return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2
