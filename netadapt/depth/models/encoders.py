"""Encoders from timm, and what every network built on one needs."""

import re
from typing import Any

from torch import Tensor

from netadapt.errors import UserError
from netadapt.models.inputs import Normalise


def timm_network(name: str, imagenet: bool, **options: Any) -> Any:
    """Build a network of timm, with fresh weights or those of ImageNet.

    Args:
        name: as timm calls it.
        imagenet: download its ImageNet weights, or take them from timm's cache.
        options: keyword arguments of ``timm.create_model``, such as ``features_only``.

    Raises:
        UserError: timm has no such network, or its weights cannot be had.
    """
    import timm  # takes seconds, and many networks do without

    if not timm.is_model(name):  # of a hub or a folder: timm would fetch and run what it says
        raise UserError(f"timm cannot build encoder {name!r}: it has no network of that name")
    try:
        network = timm.create_model(name, pretrained=imagenet, **options)
    except Exception as error:  # timm, and each of its download back ends, raises its own errors
        reason = next(iter(str(error).strip().splitlines()), type(error).__name__)
        if not imagenet:
            raise UserError(f"timm cannot build encoder {name!r}: {reason}") from error
        raise UserError(
            f"cannot get ImageNet weights of timm's {name}: {reason}; check the network "
            "connection, or train without imagenet"
        ) from error
    _trim(network)
    return network


def _trim(network: Any) -> None:
    """Drop blocks behind the last feature; some of timm's encoders compute them unused."""
    if not hasattr(network, "blocks") or not hasattr(network, "feature_info"):
        return
    last = re.fullmatch(r"blocks\.([0-9]+)", network.feature_info.module_name()[-1])
    if last is not None:
        network.blocks = network.blocks[: int(last[1]) + 1]


def normalise_for(encoder: Any) -> Normalise:
    """Return the normalisation that a network of timm was, or would be, trained with."""
    return Normalise(encoder.pretrained_cfg["mean"], encoder.pretrained_cfg["std"])


def require_multiple(image: Tensor, factor: int, network: str) -> None:
    """Raise a ``UserError`` unless height and width of ``image`` are multiples of ``factor``."""
    height, width = image.shape[-2:]
    if height % factor or width % factor:
        raise UserError(
            f"{network} takes heights and widths that are multiples of {factor}, "
            f"not {height}x{width}"
        )
