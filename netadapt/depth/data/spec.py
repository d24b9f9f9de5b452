"""From a ``--data`` word to splits."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, Literal

from netadapt.depth.data.dataset import DepthData, DepthDataset
from netadapt.depth.data.frames import Item, Splits
from netadapt.depth.data.kitti import open_kitti, open_kitti_triplets
from netadapt.depth.data.nyu import open_nyu
from netadapt.depth.data.pairs import open_pairs
from netadapt.depth.data.sequence import open_sequence, open_sequence_triplets
from netadapt.depth.data.splits import divided
from netadapt.depth.data.synthetic import open_synthetic, open_synthetic_triplets
from netadapt.depth.data.transforms import PAPER, Augmentation, Size
from netadapt.depth.data.triplets import SequenceData, TripletDataset
from netadapt.depth.data.tum import open_tum, open_tum_triplets
from netadapt.errors import UserError

DEFAULT_SCENES = 2000
MAX_SCENES = 1_000_000
NAMED = 10  # bad frames named one by one
OnBadSample = Literal["fail", "skip"]


@dataclass(frozen=True)
class Sources(Generic[Item]):
    """What can be opened: scenes that are drawn, and folders by the word before their colon.

    ``known`` lists the words, for those who used another.
    """

    synthetic: Callable[[int, Size, float], Splits[Item]]
    folders: Mapping[str, Callable[[Path], Splits[Item]]]
    known: str


FRAMES = Sources(
    open_synthetic,
    {
        "nyu": open_nyu,
        "tum": open_tum,
        "pairs": open_pairs,
        "kitti": open_kitti,
        "sequence": open_sequence,
    },
    "synthetic[:N], nyu:DIR, nyu:FILE.mat, tum:DIR, pairs:DIR, kitti:DIR or sequence:DIR",
)
TRIPLETS = Sources(
    open_synthetic_triplets,
    {
        "tum": open_tum_triplets,
        "kitti": open_kitti_triplets,
        "sequence": open_sequence_triplets,
    },
    "synthetic[:N], tum:DIR, kitti:DIR or sequence:DIR",
)


def open_data(
    spec: str,
    input_size: Size,
    *,
    holdout_fraction: float = 0.1,
    seed: int = 0,
    on_bad_sample: OnBadSample = "fail",
    augmentation: Augmentation = PAPER,
    truth_size: Size | None = None,
) -> DepthData:
    """Open a dataset for a network that takes images of ``input_size`` (H, W).

    Files are listed and paired at once and decoded at first use.

    Args:
        spec: ``synthetic[:N]``, ``nyu:DIR``, ``nyu:FILE.mat``, ``tum:DIR``, ``pairs:DIR``,
            ``kitti:DIR`` or ``sequence:DIR``.
        input_size: rows and columns of the examples.
        holdout_fraction: part of the training frames that the holdout takes, by whole scenes.
        seed: which scenes the holdout takes. The test split does not depend on it: where the
            dataset has none, a tenth of its scenes is cut by a fixed seed.
        on_bad_sample: ``fail`` when a frame is asked for that cannot be used, or decode all
            frames now and ``skip`` those; ``note`` then names them.
        augmentation: how training views differ from the photographs.
        truth_size: rows and columns at which networks are scored, if not those of ``input_size``.
            Drawn scenes are rendered for it, so that all input sizes see the same frames.

    Raises:
        UserError: unknown word, missing folder or file, a file without its partner, too few
            frames.
    """
    size = _checked_size(input_size)
    truth = size if truth_size is None else _checked_size(truth_size)
    splits = _splits(FRAMES, spec, truth, holdout_fraction, seed)
    train, holdout, test = (
        DepthDataset(part, size, augmentation, truth)
        for part in (splits.train, splits.holdout, splits.test)
    )
    note = splits.note
    if on_bad_sample == "skip":
        note = _skipped(spec, note, {"training": train, "holdout": holdout, "test": test})
    return DepthData(spec, size, train, holdout, test, note)


def open_sequences(
    spec: str, input_size: Size, *, holdout_fraction: float = 0.1, seed: int = 0
) -> SequenceData:
    """Open what a moving camera recorded, as triplets of consecutive frames.

    Args and errors are those of ``open_data``; the words are ``synthetic[:N]``, ``tum:DIR``,
    ``kitti:DIR`` and ``sequence:DIR``. Depth need not be known.
    """
    size = _checked_size(input_size)
    splits = _splits(TRIPLETS, spec, size, holdout_fraction, seed)
    train, holdout, test = (
        TripletDataset(part, size) for part in (splits.train, splits.holdout, splits.test)
    )
    return SequenceData(spec, size, train, holdout, test, splits.note)


def files_of(spec: str) -> tuple[Path, ...]:
    """The files and folders that a ``--data`` word names, and those beside them that are read."""
    kind, _, argument = spec.partition(":")
    if kind == "synthetic" or not argument:
        return ()
    path = Path(argument).expanduser()
    if kind == "nyu" and path.suffix == ".mat":
        return path, path.with_name("splits.mat")
    if kind == "pairs" and path.name in ("train", "test"):
        return path, path.parent / "index.csv"
    return (path,)


def _skipped(spec: str, note: str, parts: Mapping[str, DepthDataset]) -> str:
    """Drop bad frames from ``parts``; return ``note`` with how many there were and the first."""
    reasons: list[str] = []
    frames = sum(len(part) for part in parts.values())
    for split, part in parts.items():
        reasons += part.drop_bad()
        if not len(part):
            raise UserError(
                f"data {spec}: no frame of the {split} split can be used: {reasons[-1]}"
            )
    if not reasons:
        return note
    more = f"; and {len(reasons) - NAMED} more" if len(reasons) > NAMED else ""
    text = f"skipped {len(reasons)} of {frames} frames: {'; '.join(reasons[:NAMED])}{more}"
    return f"{note}; {text}" if note else text


def _splits(
    sources: Sources[Item], spec: str, size: Size, holdout_fraction: float, seed: int
) -> Splits[Item]:
    if not 0 < holdout_fraction < 1:
        raise UserError(f"holdout fraction {holdout_fraction} is not between 0 and 1")
    kind, _, argument = spec.partition(":")
    if kind == "synthetic":
        opened = sources.synthetic(_scenes(spec, argument), size, holdout_fraction)
    else:
        opened = _folder_opener(sources, spec)(Path(argument).expanduser())
    try:
        return divided(opened, holdout_fraction, seed)
    except UserError as error:
        raise UserError(f"data {spec}: {error}") from error


def _folder_opener(sources: Sources[Item], spec: str) -> Callable[[Path], Splits[Item]]:
    kind, _, argument = spec.partition(":")
    if kind not in sources.folders:
        unknown = "data {!r} holds no triplets" if kind in FRAMES.folders else "unknown data {!r}"
        raise UserError(f"{unknown.format(spec)}; use {sources.known}")
    if not argument:
        raise UserError(f"data {spec!r} names no folder; use {sources.known}")
    return sources.folders[kind]


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
