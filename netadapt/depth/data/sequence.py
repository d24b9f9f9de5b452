"""``sequence:DIR``: videos of a moving camera whose intrinsics are known.

``DIR`` holds ``rgb/``, ``camera.json`` and, where there is any depth, ``depth/`` with files of
equal stems; or several such folders, which may share one ``camera.json`` in ``DIR``. Files that
follow one another by name are consecutive frames. Blocks are runs of consecutive frames, and
the splits are cut out of those.
"""

from functools import partial
from pathlib import Path

from netadapt.depth.data.camera import CameraFile, read_camera
from netadapt.depth.data.frames import Frame, Moment, Splits, Triplet, photo_and_depth, read_photo
from netadapt.depth.data.pairs import PHOTO_SUFFIXES, by_stem
from netadapt.depth.data.recordings import Shot, triplets, with_depth
from netadapt.depth.data.splits import run_names, test_held_out
from netadapt.errors import UserError
from netadapt.files import existing_folder


def open_sequence(folder: Path) -> Splits[Frame]:
    """List the frames that have depth; ``UserError`` if there are none, or files do not fit."""
    train, test = (with_depth(part) for part in _parts(folder, _shots(folder)))
    if not train or not test:
        lacking = "test" if train else "training"
        raise UserError(f"{folder}: the {lacking} frames have no depth in depth/; add it")
    return Splits(train=train, test=test, holdout=[])


def open_sequence_triplets(folder: Path) -> Splits[Triplet]:
    """List the triplets of consecutive frames; ``UserError`` if there are none."""
    shots = _shots(folder)
    train, test = (triplets(part, shots) for part in _parts(folder, shots))
    if not train or not test:
        raise UserError(f"{folder}: too few frames in a row for triplets; add frames")
    return Splits(train=train, test=test, holdout=[])


def _parts(folder: Path, shots: dict[Moment, Shot]) -> tuple[list[Shot], list[Shot]]:
    """Training and test, which are the same for single frames and for triplets."""
    try:
        return test_held_out(list(shots.values()))
    except UserError as error:
        raise UserError(f"{folder}: {error}") from error


def _shots(folder: Path) -> dict[Moment, Shot]:
    existing_folder(folder, "data folder")
    if (folder / "rgb").is_dir():
        return _recorded(folder, read_camera(folder))
    recordings = sorted(path for path in folder.iterdir() if (path / "rgb").is_dir())
    if not recordings:
        raise UserError(f"{folder} holds neither rgb/ nor folders with rgb/")
    shots: dict[Moment, Shot] = {}
    for recording in recordings:
        shots |= _recorded(recording, read_camera(recording, folder))
    return shots


def _recorded(recording: Path, camera: CameraFile) -> dict[Moment, Shot]:
    photos = by_stem(recording / "rgb", PHOTO_SUFFIXES)
    has_any = (recording / "depth").is_dir()
    depths = by_stem(recording / "depth", {".png"}) if has_any else {}
    for stem in sorted(depths.keys() - photos.keys()):
        raise UserError(
            f"{depths[stem]} has no partner in {recording / 'rgb'}; add it or remove the file"
        )
    shots, unit = {}, camera.depth_unit_m
    for number, (stem, run) in enumerate(zip(photos, run_names(len(photos)), strict=True)):
        moment = str(recording), number
        shots[moment] = Shot(
            frame=Frame(
                name=str(photos[stem]),
                block=f"{recording} {run}",
                decode=partial(photo_and_depth, photos[stem], depths.get(stem), unit),
                moment=moment,
            ),
            photo=partial(read_photo, photos[stem]),
            camera=camera.pinhole,
            has_depth=stem in depths,
        )
    return shots
