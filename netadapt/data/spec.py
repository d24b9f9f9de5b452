"""From a ``--data`` word to splits."""

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from netadapt.data.dataset import DepthData, DepthDataset
from netadapt.data.frames import Splits
from netadapt.data.nyu import open_nyu
from netadapt.data.pairs import open_pairs
from netadapt.data.splits import cut
from netadapt.data.synthetic import open_synthetic
from netadapt.data.tum import open_tum
from netadapt.errors import UserError

TEST_FRACTION = 0.1
TEST_SEED = 0
DEFAULT_SCENES = 2000
MAX_SCENES = 1_000_000
KNOWN = "synthetic[:N], nyu:DIR, nyu:FILE.mat, tum:DIR or pairs:DIR"
FOLDERS: Mapping[str, Callable[[Path], Splits]] = {
    "nyu": open_nyu,
    "tum": open_tum,
    "pairs": open_pairs,
}


def open_data(
    spec: str,
    input_size: tuple[int, int],
    *,
    holdout_fraction: float = 0.1,
    seed: int = 0,
) -> DepthData:
    """Open a dataset for a network that takes images of ``input_size`` (H, W).

    Files are listed and paired at once and decoded at first use.

    Args:
        spec: ``synthetic[:N]``, ``nyu:DIR``, ``nyu:FILE.mat``, ``tum:DIR`` or ``pairs:DIR``.
        input_size: rows and columns of the examples.
        holdout_fraction: part of the training frames that the holdout takes, by whole scenes.
        seed: which scenes the holdout takes. The test split does not depend on it: where the
            dataset has none, a tenth of its scenes is cut by a fixed seed.

    Raises:
        UserError: unknown word, missing folder or file, a file without its partner, too few
            frames.
    """
    size = _checked_size(input_size)
    if not 0 < holdout_fraction < 1:
        raise UserError(f"holdout fraction {holdout_fraction} is not between 0 and 1")
    splits = _open(spec, size, holdout_fraction)
    train, test, holdout = splits.train, splits.test, splits.holdout
    try:
        if not test:
            train, test = cut(train, TEST_FRACTION, TEST_SEED)
        if not holdout:
            train, holdout = cut(train, holdout_fraction, seed)
    except UserError as error:
        raise UserError(f"data {spec}: {error}") from error
    return DepthData(
        spec=spec,
        input_size=size,
        train=DepthDataset(train, size),
        holdout=DepthDataset(holdout, size),
        test=DepthDataset(test, size),
    )


def _open(spec: str, input_size: tuple[int, int], holdout_fraction: float) -> Splits:
    kind, _, argument = spec.partition(":")
    if kind == "synthetic":
        return open_synthetic(_scenes(spec, argument), input_size, holdout_fraction)
    if kind not in FOLDERS:
        raise UserError(f"unknown data {spec!r}; use {KNOWN}")
    if not argument:
        raise UserError(f"data {spec!r} names no folder; use {KNOWN}")
    return FOLDERS[kind](Path(argument).expanduser())


def _scenes(spec: str, argument: str) -> int:
    if spec == "synthetic":
        return DEFAULT_SCENES
    if not re.fullmatch(r"[0-9]{1,9}", argument) or not 1 <= int(argument) <= MAX_SCENES:
        raise UserError(f"data {spec!r}: N must be a whole number from 1 to {MAX_SCENES}")
    return int(argument)


def _checked_size(input_size: tuple[int, int]) -> tuple[int, int]:
    height, width = input_size
    if not (8 <= height <= 4096 and 8 <= width <= 4096):
        raise UserError(f"input size {height}x{width} is outside 8..4096 pixels a side")
    return int(height), int(width)
