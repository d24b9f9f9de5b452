"""Cutting a split out of training frames without parting the frames of one place."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from netadapt.depth.data.frames import Frame, Item, Splits
from netadapt.errors import UserError

RUNS = 10
TEST_FRACTION = 0.1
TEST_SEED = 0
GAP = 3


def divided(splits: Splits[Item], holdout_fraction: float, seed: int) -> Splits[Item]:
    """Cut what ``splits`` lacks out of its training part, by whole blocks.

    The test split is cut by a fixed seed. Of a recording, at least ``GAP`` frames lie between
    two frames of different splits: training frames nearer than that are left out, so that no
    two splits share a photograph, be it as the source of a triplet.

    Raises:
        UserError: too few frames.
    """
    train, test, holdout = splits.train, splits.test, splits.holdout
    if not test:
        train, test = test_held_out(train)
    if not holdout:
        train, holdout = held_out(train, holdout_fraction, seed)
    return replace(splits, train=train, test=test, holdout=holdout)


def test_held_out(frames: Sequence[Item]) -> tuple[list[Item], list[Item]]:
    """As ``held_out``, for a test split that is the same whatever the user's seed."""
    return held_out(frames, TEST_FRACTION, TEST_SEED)


def held_out(frames: Sequence[Item], fraction: float, seed: int) -> tuple[list[Item], list[Item]]:
    """As ``cut``, leaving out what is within ``GAP`` frames of what was cut.

    Raises:
        UserError: too few frames.
    """
    kept, taken = cut(frames, fraction, seed)
    near = {
        (frame.moment[0], frame.moment[1] + step)
        for frame in taken
        if frame.moment is not None
        for step in range(-GAP, GAP + 1)
    }
    kept = [frame for frame in kept if frame.moment not in near]
    if not kept:
        raise UserError("too few frames to keep the splits apart; add frames")
    return kept, taken


def run_names(frames: int) -> list[str]:
    """The blocks of ``frames`` consecutive frames: 10 runs, as equal as can be."""
    runs = min(RUNS, frames)
    return [f"run {position * runs // frames}" for position in range(frames)]


def in_runs(frames: Sequence[Frame]) -> list[Frame]:
    """Give frames of unknown scenes the blocks of consecutive ones."""
    return [replace(f, block=run) for f, run in zip(frames, run_names(len(frames)), strict=True)]


def cut(frames: Sequence[Item], fraction: float, seed: int) -> tuple[list[Item], list[Item]]:
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
        blocks = run_names(len(frames))
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
