"""``nyu:FILE.mat``: the labelled set of NYU Depth V2, a MATLAB 7.3 (HDF5) file.

``images`` uint8 ``(N, 3, W, H)`` and ``depths`` float ``(N, W, H)`` metres are stored
column-first. The official split is in another file: ``splits.mat`` beside it, with the
1-based ``trainNdxs`` and ``testNdxs``. Without it a tenth of the scenes becomes the test
split. Blocks are the names in ``scenes``; without them, runs of consecutive frames.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import h5py
import numpy as np
from numpy.typing import NDArray

from netadapt.depth.data.frames import BROKEN_HDF5, MAX_PIXELS, Depth, Frame, Rgb, Splits
from netadapt.depth.data.matlab5 import read_vectors
from netadapt.depth.data.splits import in_runs
from netadapt.errors import UserError
from netadapt.files import existing_file

NOT_HDF5 = "is not a sound MATLAB 7.3 (HDF5) file; fetch nyu_depth_v2_labeled.mat again"


@dataclass(frozen=True)
class Contents:
    """What the file says of itself before any frame is read."""

    count: int
    scenes: tuple[str, ...] | None


def open_labelled(path: Path) -> Splits[Frame]:
    """List the frames of the labelled set; ``UserError`` names what the file lacks."""
    existing_file(path, "labelled set")
    contents = _contents(path)
    frames = [
        Frame(
            name=f"{path} frame {position}",
            block=contents.scenes[position] if contents.scenes else "",
            decode=partial(_decode, path, position),
        )
        for position in range(contents.count)
    ]
    if contents.scenes is None:
        frames = in_runs(frames)
    splits = path.with_name("splits.mat")
    if not splits.is_file():
        return Splits(train=frames, test=[], holdout=[])
    train, test = _official_split(splits, contents.count)
    return Splits(train=[frames[i] for i in train], test=[frames[i] for i in test], holdout=[])


def _contents(path: Path) -> Contents:
    try:
        with h5py.File(path, "r") as file:
            images, depths = file.get("images"), file.get("depths")
            for name, found in (("images", images), ("depths", depths)):
                if not isinstance(found, h5py.Dataset):
                    raise UserError(f"{path} lacks {name}; it is not the NYU labelled set")
            if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1] != 3:
                raise UserError(
                    f"{path}: images is {images.dtype} {images.shape}; "
                    "expected uint8 (N, 3, W, H) of the NYU labelled set"
                )
            frame = (images.shape[0], *images.shape[2:])
            if depths.dtype.kind != "f" or depths.shape != frame:
                raise UserError(
                    f"{path}: depths is {depths.dtype} {depths.shape}; expected float {frame}"
                )
            if images.shape[0] < 1 or not 0 < images.shape[2] * images.shape[3] <= MAX_PIXELS:
                raise UserError(f"{path}: images is {images.shape}; it holds no frames")
            return Contents(images.shape[0], _scenes(file, images.shape[0]))
    except BROKEN_HDF5 as error:
        raise UserError(f"{path} {NOT_HDF5}") from error


def _scenes(file: h5py.File, count: int) -> tuple[str, ...] | None:
    """Follow the cell array ``scenes``: references to arrays of character codes."""
    cells = file.get("scenes")
    if not isinstance(cells, h5py.Dataset):
        return None
    if cells.dtype != h5py.ref_dtype or cells.size != count:
        raise UserError(f"{file.filename}: scenes is not a cell array of {count} names")
    codes = (np.ravel(file[reference][()]) for reference in np.ravel(cells[()]))
    return tuple("".join(chr(int(code)) for code in name) for name in codes)


def _official_split(path: Path, count: int) -> tuple[Sequence[int], Sequence[int]]:
    try:
        vectors = read_vectors(path)
        train, test = (_positions(vectors[name]) for name in ("trainNdxs", "testNdxs"))
    except (OSError, ValueError, KeyError) as error:
        raise UserError(
            f"cannot read trainNdxs and testNdxs from {path}; replace or remove it"
        ) from error
    both = np.concatenate([train, test])
    if not len(train) or not len(test) or both.min() < 0 or both.max() >= count:
        raise UserError(
            f"{path}: its indices do not fit a labelled set of {count} frames; remove it"
        )
    if len(np.unique(both)) != len(both):
        raise UserError(f"{path}: a frame lies in both splits or twice in one; remove it")
    return train.tolist(), test.tolist()


def _positions(one_based: NDArray[np.float64]) -> NDArray[np.int64]:
    if not np.array_equal(one_based, np.floor(one_based)) or np.abs(one_based).max(initial=0) > 1e9:
        raise ValueError("indices are not whole numbers")
    return one_based.astype(np.int64) - 1


def _decode(path: Path, position: int) -> tuple[Rgb, Depth]:
    try:
        with h5py.File(path, "r") as file:
            image, depth = file["images"][position], file["depths"][position]
    except BROKEN_HDF5 as error:
        raise UserError(f"{path} frame {position}: {NOT_HDF5}") from error
    return np.ascontiguousarray(image.transpose(2, 1, 0)), np.ascontiguousarray(depth.T, np.float32)
