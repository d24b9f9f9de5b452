"""Cutting a split out of training frames without parting the frames of one place."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from netadapt.data.frames import Frame
from netadapt.errors import UserError

RUNS = 10


def in_runs(frames: Sequence[Frame]) -> list[Frame]:
    """Give frames of unknown scenes blocks: 10 runs of consecutive frames, as equal as can be."""
    runs = min(RUNS, len(frames))
    return [
        replace(frame, block=f"run {position * runs // len(frames)}")
        for position, frame in enumerate(frames)
    ]


def cut(frames: Sequence[Frame], fraction: float, seed: int) -> tuple[list[Frame], list[Frame]]:
    """Part ``frames`` into (kept, cut) by whole blocks, both in the given order.

    Blocks are taken in an order drawn from ``seed`` while they fit into ``fraction`` of the
    frames; where none fits, the smallest is taken. Frames that are all of one block are cut
    by runs of consecutive frames instead.

    Raises:
        UserError: fewer than two frames.
    """
    if len(frames) < 2:
        raise UserError(
            f"{len(frames)} frame(s) cannot be cut into two splits"
            + (f" ({frames[0].name})" if frames else "")
            + "; add frames"
        )
    blocks = [frame.block for frame in frames]
    if len(set(blocks)) == 1:
        blocks = [frame.block for frame in in_runs(frames)]
    chosen = _choose(blocks, fraction, seed)
    kept = [frame for frame, block in zip(frames, blocks, strict=True) if block not in chosen]
    taken = [frame for frame, block in zip(frames, blocks, strict=True) if block in chosen]
    return kept, taken


def _choose(blocks: Sequence[str], fraction: float, seed: int) -> set[str]:
    sizes: dict[str, int] = {}
    for block in blocks:
        sizes[block] = sizes.get(block, 0) + 1
    names = sorted(sizes)
    room = round(fraction * len(blocks))
    chosen: set[str] = set()
    for position in np.random.default_rng(seed).permutation(len(names)):
        name = names[position]
        if sizes[name] <= room and len(chosen) < len(names) - 1:
            chosen.add(name)
            room -= sizes[name]
    return chosen or {min(names, key=lambda name: (sizes[name], name))}
