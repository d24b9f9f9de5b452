"""``nyu:``: NYU Depth V2 (Silberman et al., ECCV 2012), in either of its two HDF5 forms.

``nyu:DIR`` is the layout of the FastDepth code, ``train/<scene>/*.h5`` and
``val/official/*.h5``, each file with ``rgb`` uint8 ``(3, H, W)`` and ``depth`` float32
``(H, W)`` metres. A block is a scene; folders that continue one recording
(``bedroom_0051a``, ``bedroom_0051b``, ``bedroom_0051_out``) are one scene.

``nyu:FILE.mat`` is the labelled set, see ``nyu_labelled``.
"""

import re
from functools import partial
from pathlib import Path

import h5py
import numpy as np

from netadapt.depth.data.frames import BROKEN_HDF5, MAX_PIXELS, Depth, Frame, Rgb, Splits
from netadapt.depth.data.nyu_labelled import open_labelled
from netadapt.errors import UserError
from netadapt.files import existing_folder

CONTINUATION = re.compile(r"(?<=\d)[a-z]?(_out)?$")


def open_nyu(path: Path) -> Splits[Frame]:
    """List the frames of a folder or of the labelled ``.mat``; ``UserError`` if there are none."""
    if path.suffix == ".mat":
        return open_labelled(path)
    existing_folder(path, "data folder")
    train = _frames(path / "train")
    if not train:
        hint = f"; use pairs:{path}" if (path / "train" / "rgb").is_dir() else ""
        raise UserError(f"no h5 files in {path}/train/<scene>/{hint}")
    return Splits(train=train, test=_frames(path / "val"), holdout=[])


def _frames(split: Path) -> list[Frame]:
    return [
        Frame(
            name=str(path),
            block=CONTINUATION.sub("", path.parent.name),
            decode=partial(_decode, path),
        )
        for path in sorted(split.glob("*/*.h5"))
    ]


def _decode(path: Path) -> tuple[Rgb, Depth]:
    try:
        return _read(path)
    except BROKEN_HDF5 as error:
        raise UserError(f"cannot read {path}: not sound HDF5; replace or remove it") from error


def _read(path: Path) -> tuple[Rgb, Depth]:
    with h5py.File(path, "r") as file:
        rgb, depth = file.get("rgb"), file.get("depth")
        for name, found in (("rgb", rgb), ("depth", depth)):
            if not isinstance(found, h5py.Dataset):
                raise UserError(f"{path} lacks {name}; replace or remove the file")
        if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[0] != 3:
            raise UserError(
                f"{path}: rgb is {rgb.dtype} {rgb.shape}; expected uint8 (3, H, W); "
                "replace or remove the file"
            )
        if depth.dtype.kind != "f" or depth.ndim != 2 or not 0 < depth.size <= MAX_PIXELS:
            raise UserError(
                f"{path}: depth is {depth.dtype} {depth.shape}; expected float32 (H, W); "
                "replace or remove the file"
            )
        if rgb.shape[1:] != depth.shape:
            raise UserError(
                f"{path}: rgb is {rgb.shape[1:]} but depth {depth.shape}; replace or remove it"
            )
        return np.ascontiguousarray(rgb[()].transpose(1, 2, 0)), depth[()].astype(np.float32)
