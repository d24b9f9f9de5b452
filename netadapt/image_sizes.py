"""Sizes of images, ``(height, width)``, as the command line writes them: ``224x224``."""

import re
from collections.abc import Sequence

from netadapt.errors import UserError

Size = tuple[int, int]

MAX_SIDE = 4096
MAX_SIZES = 8  # of one search


def size_name(size: Size) -> str:
    """Return ``224x224``."""
    return f"{size[0]}x{size[1]}"


def parse_size(text: str | None, option: str = "--input-size") -> Size | None:
    """Turn ``HxW`` into ``(height, width)``; ``option`` is what is named in messages."""
    if text is None:
        return None
    match = re.fullmatch(r"([0-9]{1,9})x([0-9]{1,9})", text.strip())
    if not match:
        raise UserError(f"{option} {text!r} is not HxW, as in 224x224")
    height, width = int(match[1]), int(match[2])
    if not (1 <= height <= MAX_SIDE and 1 <= width <= MAX_SIDE):
        raise UserError(f"{option} {text} is outside 1 to {MAX_SIDE} pixels a side")
    return height, width


def parse_sizes(text: str) -> tuple[Size, ...]:
    """Turn ``HxW,HxW`` into the sizes of one search.

    Raises:
        UserError: a word is no size, or ``require_sizes`` refuses them.
    """
    parsed = (parse_size(word, "--input-sizes") for word in text.split(","))
    sizes = tuple(size for size in parsed if size is not None)
    require_sizes(sizes)
    return sizes


def require_sizes(sizes: Sequence[Size]) -> None:
    """Raise a ``UserError`` unless these are 2 to 8 different sizes, none larger than the first."""
    words = ",".join(map(size_name, sizes))
    if not 2 <= len(sizes) <= MAX_SIZES:
        raise UserError(
            f"--input-sizes {words[:100]}: give 2 to {MAX_SIZES} sizes, as in 224x224,160x160"
        )
    for place, size in enumerate(sizes):
        if size in sizes[:place]:
            raise UserError(f"--input-sizes {words}: {size_name(size)} is there twice")
        if size[0] > sizes[0][0] or size[1] > sizes[0][1]:
            raise UserError(
                f"--input-sizes {words}: {size_name(size)} is larger than {size_name(sizes[0])}; "
                "the largest comes first"
            )
