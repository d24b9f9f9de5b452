"""How a network was built, so that it can be built again."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class ModelSpec:
    """What rebuilds a network; every network we build carries one as ``model.spec``.

    Attributes:
        name: what ``build`` takes: a registry name or ``package.module:factory``.
        options: the keyword arguments of that builder, as JSON can hold them.
        widths: ``{group name: channels}`` after pruning, or None for the network as built.
        input_size: the ``(H, W)`` it was trained at, or None while untrained.
        inputs: its inputs as ``--input`` options (``left=1x3x64x64``), where it is run on anything
            but one image.
        output: the map it answers with, where it is one of several, as ``--output`` names it.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict)
    widths: Mapping[str, int] | None = None
    input_size: tuple[int, int] | None = None
    inputs: tuple[str, ...] = ()
    output: str | None = None
