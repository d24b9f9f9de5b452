"""``kitti:DIR``: the raw recordings of KITTI (Geiger et al., IJRR 2013), as they unpack.

``DIR/DATE/DATE_drive_NNNN_sync/image_02/data/NNNNNNNNNN.png`` (or ``.jpg``), ``image_03``
likewise, ``velodyne_points/data/NNNNNNNNNN.bin``, and in ``DIR/DATE`` ``calib_cam_to_cam.txt``
and ``calib_velo_to_cam.txt``. Depth is the laser scan projected into the photograph.

``DIR/splits/eigen_{train,val,test}_files.txt`` say the frames of each split, a line per frame:
``DATE/DATE_drive_NNNN_sync NUMBER l`` (or ``r``: camera 3). Without ``splits/`` all frames of
camera 2 are taken and cut by drive.
"""

import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from netadapt.depth.data.frames import Depth, Frame, Item, Moment, Rgb, Splits, Triplet, read_photo
from netadapt.depth.data.recordings import Shot, triplets, with_depth
from netadapt.depth.data.splits import test_held_out
from netadapt.depth.data.velodyne import Calibration, depth_image, read_calibration, read_velodyne
from netadapt.errors import UserError
from netadapt.files import existing_file, existing_folder
from netadapt.texts import text_of

SUFFIXES = {".png", ".jpg"}
CAMERAS = {"l": "02", "r": "03"}
LISTS = {"train": "train", "holdout": "val", "test": "test"}
LINE = re.compile(r"([\w-]+/[\w-]+)\s+(\d{1,10})\s+([lr])")


@dataclass(frozen=True)
class Listing:
    """What a folder holds.

    Attributes:
        splits: the frames of each split; none in a split that is to be cut.
        recorded: every frame of the drives they are from.
        lists: whether lists say so; else the splits are cut by drive.
    """

    splits: dict[str, list[Shot]]
    recorded: dict[Moment, Shot]
    lists: bool


def open_kitti(folder: Path) -> Splits[Frame]:
    """List the frames that have a laser scan.

    Raises:
        UserError: no such frames, a missing list, frame or calibration, or a frame of the
            validation or test list without its scan.
    """
    listing = _listing(folder)
    for split in ("holdout", "test"):
        for shot in listing.splits[split]:
            if listing.lists and not shot.has_depth:
                raise UserError(
                    f"{shot.name} is listed in {_list(folder, split)} but has no velodyne scan; "
                    "add the scan or remove the line"
                )
    return _found(folder, listing, {s: with_depth(part) for s, part in listing.splits.items()})


def open_kitti_triplets(folder: Path) -> Splits[Triplet]:
    """List the frames of which the one before and the one after are there too.

    Raises:
        UserError: no such frames, or a missing list, frame or calibration.
    """
    listing = _listing(folder)
    found = {split: triplets(part, listing.recorded) for split, part in listing.splits.items()}
    return _found(folder, listing, found)


def _found(folder: Path, listing: Listing, found: dict[str, list[Item]]) -> Splits[Item]:
    for split, part in listing.splits.items():
        if part and not found[split]:
            raise UserError(
                f"{folder}: no {split} frame has a velodyne scan, or for triplets both its "
                "neighbours; add them"
            )
    lacking = f"{folder / 'splits'} does not exist"
    note = f"{lacking}: the splits are cut by drive, and are not Eigen's"
    return Splits(
        train=found["train"],
        test=found["test"],
        holdout=found["holdout"],
        note="" if listing.lists else note,
    )


def _listing(folder: Path) -> Listing:
    existing_folder(folder, "data folder")
    if (folder / "splits").is_dir():
        return _listed(folder)
    drives = sorted(path for path in folder.glob("*/*_sync") if (path / "image_02").is_dir())
    if not drives:
        raise UserError(f"{folder} holds no DATE/DATE_drive_NNNN_sync/image_02; fetch some drives")
    recorded: dict[Moment, Shot] = {}
    for drive in drives:
        recorded |= _recorded(drive, "l")
    try:
        train, test = test_held_out(list(recorded.values()))
    except UserError as error:
        raise UserError(f"{folder}: {error}") from error
    return Listing({"train": train, "holdout": [], "test": test}, recorded, lists=False)


def _listed(folder: Path) -> Listing:
    """Follow the lists."""
    recorded: dict[Moment, Shot] = {}
    known: set[str] = set()
    splits: dict[str, list[Shot]] = {split: [] for split in LISTS}
    for split, shots in splits.items():
        for where, name, number, side in _lines(_list(folder, split)):
            recording = _recording(folder / name, side)
            if recording not in known:
                recorded |= _recorded(folder / name, side)
                known.add(recording)
            shot = recorded.get((recording, number))
            if shot is None:
                raise UserError(
                    f"{where}: {folder / name}/image_{CAMERAS[side]} has no frame {number:010d}; "
                    "add it or remove the line"
                )
            shots.append(shot)
    return Listing(splits, recorded, lists=True)


def _list(folder: Path, split: str) -> Path:
    return folder / "splits" / f"eigen_{LISTS[split]}_files.txt"


def _lines(path: Path) -> list[tuple[str, str, int, str]]:
    """What a list names: where it stands, the drive, the frame's number and the side."""
    if not path.exists():
        raise UserError(
            f"{path} does not exist; add the list, or remove {path.parent} to cut by drive"
        )
    try:
        text = text_of(existing_file(path, "split list"))
    except ValueError as error:
        raise UserError(f"{path} is not text; replace it") from error
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        match = LINE.fullmatch(line.strip())
        if match:
            found.append((f"{path} line {number}", match[1], int(match[2]), match[3]))
        elif line.strip():
            raise UserError(f"{path} line {number}: expected 'date/drive number l', or r")
    if not found:
        raise UserError(f"{path} names no frames; replace it")
    return found


def _recording(drive: Path, side: str) -> str:
    return f"{drive} image_{CAMERAS[side]}"


def _recorded(drive: Path, side: str) -> dict[Moment, Shot]:
    """Every frame that one camera took on a drive."""
    photos = existing_folder(drive / f"image_{CAMERAS[side]}" / "data", "photographs' folder")
    calibration = read_calibration(drive.parent, CAMERAS[side])
    scans = drive / "velodyne_points" / "data"
    there = {path.stem for path in scans.glob("*.bin")}
    found: dict[Moment, Shot] = {}
    for photo in sorted(photos.iterdir()):
        if photo.suffix.lower() not in SUFFIXES or not photo.stem.isdecimal():
            continue
        moment = _recording(drive, side), int(photo.stem)
        if moment in found:
            raise UserError(f"{photo} is there twice; keep the png or the jpg")
        scan = scans / f"{photo.stem}.bin" if photo.stem in there else None
        found[moment] = Shot(
            frame=Frame(
                name=str(photo),
                block=drive.name,
                decode=partial(_decode, photo, scan, calibration),
                moment=moment,
            ),
            photo=partial(read_photo, photo),
            camera=calibration.camera,
            has_depth=scan is not None,
        )
    if not found:
        raise UserError(f"no .png or .jpg files in {photos}; add them")
    return found


def _decode(photo: Path, scan: Path | None, calibration: Calibration) -> tuple[Rgb, Depth]:
    rgb = read_photo(photo)
    if scan is None:
        return rgb, np.zeros(rgb.shape[:2], np.float32)
    return rgb, depth_image(read_velodyne(scan), calibration)
