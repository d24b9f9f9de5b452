"""``pairs:DIR``: ``rgb/`` and ``depth/`` holding files of equal stems.

``DIR`` may hold ``train/`` and ``test/``, each with ``rgb/`` and ``depth/``. ``camera.json``
(in the split's folder or in ``DIR``) may say ``depth_unit_m``, metres per unit of the 16-bit
depth PNG; the default is a millimetre. ``index.csv`` (in ``DIR``, or beside it when ``DIR``
is itself a ``train`` or ``test`` folder) may say the ``block`` of each ``index``, the stem of
the file: frames of one block are never parted. Without it blocks are runs of consecutive
frames.
"""

import csv
import io
import math
from dataclasses import replace
from functools import partial
from pathlib import Path

from netadapt.depth.data.frames import Depth, Frame, Rgb, Splits, read_depth, read_photo
from netadapt.depth.data.splits import in_runs
from netadapt.errors import UserError
from netadapt.files import existing_folder
from netadapt.texts import csv_problem, json_of, text_of

PHOTO_SUFFIXES = {".jpg", ".jpeg", ".png"}
MILLIMETRE = 0.001


def open_pairs(folder: Path) -> Splits[Frame]:
    """List the frames under ``folder``; ``UserError`` if a partner is missing or there is none."""
    existing_folder(folder, "data folder")
    if (folder / "rgb").is_dir():
        return Splits(train=_frames(folder, folder), test=[], holdout=[])
    if (folder / "train").is_dir():
        test = folder / "test"
        return Splits(
            train=_frames(folder / "train", folder),
            test=_frames(test, folder) if test.is_dir() else [],
            holdout=[],
        )
    raise UserError(f"{folder} holds neither rgb/ and depth/ nor train/; see the pairs: layout")


def _frames(split: Path, folder: Path) -> list[Frame]:
    photos = by_stem(split / "rgb", PHOTO_SUFFIXES)
    depths = by_stem(split / "depth", {".png"})
    for stem in sorted(photos.keys() ^ depths.keys()):
        alone, lacking = (photos, "depth") if stem in photos else (depths, "rgb")
        raise UserError(
            f"{alone[stem]} has no partner in {split / lacking}; add it or remove the file"
        )
    unit = _depth_unit(split, folder)
    frames = [
        Frame(
            name=str(photos[stem]),
            block="",
            decode=partial(_decode, photos[stem], depths[stem], unit),
        )
        for stem in sorted(photos)
    ]
    index = _index_file(folder)
    if index is None:
        return in_runs(frames)
    blocks = _blocks(index)
    return [replace(frame, block=_block_of(frame, blocks, index)) for frame in frames]


def _decode(photo: Path, depth: Path, unit: float) -> tuple[Rgb, Depth]:
    return read_photo(photo), read_depth(depth, unit)


def by_stem(folder: Path, suffixes: set[str]) -> dict[str, Path]:
    """The files of a folder by stem, sorted; ``UserError`` if there is none, or a stem is twice."""
    existing_folder(folder, "data folder")
    files: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in suffixes or path.name.startswith("."):
            continue
        if path.stem in files:
            raise UserError(f"{path} and {files[path.stem].name} share a stem; remove one")
        files[path.stem] = path
    if not files:
        raise UserError(f"no {'/'.join(sorted(suffixes))} files in {folder}")
    return files


def _depth_unit(split: Path, folder: Path) -> float:
    for path in (split / "camera.json", folder / "camera.json"):
        if not path.is_file():
            continue
        try:
            camera = json_of(path)
        except (OSError, ValueError) as error:
            raise UserError(f"cannot read {path}: {error}; correct or remove it") from error
        unit = camera.get("depth_unit_m", MILLIMETRE) if isinstance(camera, dict) else None
        if isinstance(unit, bool) or not isinstance(unit, int | float):
            raise UserError(f"{path}: depth_unit_m is {unit!r}; give metres per depth unit")
        if not (math.isfinite(unit) and unit > 0):
            raise UserError(f"{path}: depth_unit_m is {unit}; give metres per depth unit, above 0")
        return float(unit)
    return MILLIMETRE


def _index_file(folder: Path) -> Path | None:
    places = [folder / "index.csv"]
    if folder.name in ("train", "test"):
        places.append(folder.parent / "index.csv")
    return next((path for path in places if path.is_file()), None)


def _blocks(index: Path) -> dict[str, str]:
    try:
        rows = list(csv.DictReader(io.StringIO(text_of(index), newline="")))
    except csv.Error as error:
        raise UserError(
            f"cannot read {index}: {csv_problem(error)}; correct or remove it"
        ) from error
    except (OSError, ValueError) as error:
        raise UserError(f"cannot read {index}: {error}; correct or remove it") from error
    blocks = {}
    for row in rows:
        stem, block = row.get("index"), row.get("block")
        if not stem or not block:
            raise UserError(f"{index} lacks an index or a block in some row; correct or remove it")
        blocks[_plain(stem)] = block
    return blocks


def _block_of(frame: Frame, blocks: dict[str, str], index: Path) -> str:
    stem = _plain(Path(frame.name).stem)
    if stem not in blocks:
        raise UserError(f"{index} has no row for {frame.name}; add it or remove the file")
    return blocks[stem]


def _plain(stem: str) -> str:
    """``00017`` in a file's name and ``17`` in the index are the same frame."""
    return stem.lstrip("0") or "0" if stem.isdecimal() else stem
