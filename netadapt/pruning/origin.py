"""Maps the channels of a pruned network to those of the network it was pruned from.

A pruned network carries this map as an attribute, so that its groups keep the names they had in the
base network, however many channels are left.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from torch import nn

ATTRIBUTE = "netadapt_origin"

# for each group of the base network, a layer that writes it, and its channels there now
Origin = Mapping[str, tuple[str, tuple[int, ...]]]


def origin_of(model: nn.Module) -> Origin:
    """Return the origin of ``model``; empty unless it was pruned from another."""
    found: Origin = getattr(model, ATTRIBUTE, {})
    return found


def remember(
    model: nn.Module, origin: Origin, removed: Mapping[tuple[str, str], NDArray[np.intp]]
) -> None:
    """Store in ``model`` what is left of ``origin`` after channels of layers were removed."""
    left = {}
    for name, (layer, channels) in origin.items():
        gone = removed.get((layer, "out"), np.zeros(0, dtype=np.intp))
        stays = np.setdiff1d(channels, gone)
        left[name] = (layer, tuple((stays - np.searchsorted(gone, stays)).tolist()))
    setattr(model, ATTRIBUTE, left)


def base_names(origin: Origin) -> dict[tuple[str, int], str]:
    """Return ``{(layer, channel): group}`` of the base network."""
    return {
        (layer, channel): name for name, (layer, channels) in origin.items() for channel in channels
    }
