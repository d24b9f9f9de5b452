"""Depth made visible: a strip of photographs, truths and predictions."""

import math
import re
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from numpy.typing import NDArray

from netadapt.errors import UserError
from netadapt.files import existing_file
from netadapt.report import style

COLOUR_MAP = "viridis"
NO_DEPTH = 168
"""The grey of a pixel without depth: a shade that the colour map does not hold."""

SUFFIX = re.compile(r"\.[A-Za-z][A-Za-z0-9]{0,4}$")
MAX_BYTES = 2_000_000_000
BROKEN = (
    OSError,
    ValueError,
    TypeError,
    EOFError,
    NotImplementedError,
    zipfile.BadZipFile,
    zlib.error,
)

Depth = NDArray[np.floating[Any]]
Photograph = NDArray[np.uint8]


class _UnfitError(Exception):
    """An archive that can be read, and is no file of samples."""


@dataclass(frozen=True)
class Samples:
    """Photographs with their depth maps, in metres; 0 where there is none.

    Attributes:
        rgb: ``(N, H, W, 3)`` uint8.
        truth: ``(N, H, W)``.
        answers: ``(N, H, W)`` by the name of the candidate that predicted it; the base first.
        final: the candidate that the search ended with.
        names: of the photographs, or their files.
    """

    rgb: Photograph
    truth: Depth
    answers: Mapping[str, Depth]
    final: str
    names: tuple[str, ...]

    @property
    def titles(self) -> tuple[str, ...]:
        """The names without folders and suffixes."""
        files = (name.replace("\\", "/").rsplit("/", 1)[-1] for name in self.names)
        return tuple(SUFFIX.sub("", file) or file for file in files)

    @property
    def base(self) -> Depth:
        """``(N, H, W)``, predicted by the base network."""
        return next(iter(self.answers.values()))

    @property
    def pruned(self) -> Depth:
        """``(N, H, W)``, predicted by the network that the search ended with."""
        return self.answers[self.final]


def read_samples(path: Path) -> Samples:
    """Read a run's ``samples.npz``.

    Raises:
        UserError: it is missing, damaged, too large, or its arrays do not belong together.
    """
    existing_file(path, "samples")
    try:
        _check_sizes(path)
        with np.load(path, allow_pickle=False) as archive:
            samples = _of_archive(archive)
    except _UnfitError as error:
        raise UserError(f"{path} is not a file of samples: {error}") from error
    except BROKEN as error:
        raise UserError(f"{path} is not a file of samples, or is damaged") from error
    rgb = samples.rgb
    if rgb.dtype != np.uint8 or rgb.ndim != 4 or rgb.shape[-1] != 3 or not rgb.size:
        raise UserError(f"{path}: rgb is {rgb.dtype} {rgb.shape}, not uint8 (N, H, W, 3)")
    for key, array in (("truth", samples.truth), *samples.answers.items()):
        if array.shape != rgb.shape[:3] or array.dtype.kind != "f":
            raise UserError(
                f"{path}: {key} is {array.dtype} {array.shape}, not float of rgb's size"
            )
    if len(samples.names) != len(rgb):
        raise UserError(f"{path}: {len(samples.names)} names for {len(rgb)} photographs")
    return samples


def _of_archive(archive: Any) -> Samples:
    """Read samples; older files hold the outputs of the base and of the final network only."""
    known = ("candidates", "answers", "final") if "answers" in archive else ("base", "pruned")
    for name in ("rgb", "truth", "names", *known):
        if name not in archive:
            raise _UnfitError(f"it lacks {name}")
    if "answers" in archive:
        shown = [str(name) for name in archive["candidates"]]
        answers = dict(zip(shown, archive["answers"].astype(np.float32), strict=True))
        final = str(archive["final"])
    else:
        answers = {"base": archive["base"], "pruned": archive["pruned"]}
        final = "pruned"
    if final not in answers:
        raise _UnfitError(f"it has no answers of {final}, the final network"[:300])
    return Samples(
        rgb=archive["rgb"],
        truth=archive["truth"],
        answers=answers,
        final=final,
        names=tuple(str(name) for name in archive["names"]),
    )


def _check_sizes(path: Path) -> None:
    """Raise ``_UnfitError`` for arrays that would not fit into memory, by what they declare."""
    total = 0
    with zipfile.ZipFile(path) as archive:
        for member in archive.namelist():
            with archive.open(member) as file:
                version = np.lib.format.read_magic(file)
                read = (
                    np.lib.format.read_array_header_1_0
                    if version == (1, 0)
                    else np.lib.format.read_array_header_2_0
                )
                shape, _, dtype = read(file)
            total += math.prod(shape) * dtype.itemsize
    if total > MAX_BYTES:
        raise _UnfitError(f"its arrays take {total} bytes; at most {MAX_BYTES} are read")


def colour_depth(depth: Depth, near: float, far: float) -> Photograph:
    """Return ``depth`` as a picture, ``(H, W, 3)`` uint8.

    Args:
        depth: ``(H, W)`` metres; 0 or not finite is drawn grey.
        near: metres, the first colour of the map.
        far: metres, the last.

    Raises:
        ValueError: ``far`` is not beyond ``near``.
    """
    if not near < far:
        raise ValueError(f"far must lie beyond near, got {near} and {far}")
    known = known_depth(depth)
    share = (np.where(known, depth, near) - near) / (far - near)
    coloured: Photograph = colormaps[COLOUR_MAP](np.clip(share, 0, 1), bytes=True)[..., :3]
    coloured[~known] = NO_DEPTH
    return coloured


def plot_samples(samples: Samples) -> Figure:
    """Draw one row per photograph: itself, ground truth, base and pruned prediction.

    All depth maps share one colour scale in metres. δ1 and RMSE of the pixels with truth
    stand under each prediction.
    """
    near, far = depth_range(samples.truth)
    count, height, width = samples.truth.shape
    row_inches = 1.68 * height / width + 0.24
    figure = Figure(
        figsize=(style.WIDTH_INCHES, 0.5 + row_inches * count),
        layout="compressed",
    )
    grid = figure.subplots(count, 4, squeeze=False)
    for axes, title in zip(grid[0], ("photograph", "ground truth", "base", "pruned"), strict=True):
        axes.set_title(title, fontsize=11)
    for row, axes in enumerate(grid):
        truth = samples.truth[row]
        _show(axes[0], samples.rgb[row], style.shortened(samples.titles[row], 24))
        missing = 100 * (1 - known_depth(truth).mean())
        note = f"grey: no depth ({missing:.0f} %)" if missing >= 0.5 else ""
        _show(axes[1], colour_depth(truth, near, far), note)
        for place, predicted in ((axes[2], samples.base[row]), (axes[3], samples.pruned[row])):
            _show(place, colour_depth(predicted, near, far), score_text(predicted, truth))
    _depth_bar(figure, list(grid.flat), near, far)
    return figure


def plot_predictions(rgb: Photograph, depth: Depth) -> Figure:
    """Draw a photograph ``(H, W, 3)`` uint8 and the depth ``(H, W)`` in metres predicted for it."""
    near, far = depth_range(depth)
    height, width = depth.shape
    figure = Figure(figsize=(style.WIDTH_INCHES, 3.45 * height / width + 0.45), layout="compressed")
    left, right = figure.subplots(1, 2)
    left.set_title("photograph", fontsize=11)
    right.set_title("predicted depth", fontsize=11)
    _show(left, rgb, "")
    _show(right, colour_depth(depth, near, far), "")
    _depth_bar(figure, [left, right], near, far)
    return figure


def known_depth(depth: Depth) -> NDArray[np.bool_]:
    """Return where ``depth`` is known: finite and above 0."""
    return np.isfinite(depth) & (depth > 0)


def depth_range(depth: Depth) -> tuple[float, float]:
    """Return metres between which nearly all of ``depth`` lies; never an empty range."""
    known = depth[known_depth(depth)]
    if not known.size:
        return 0.0, 1.0
    near, far = (float(edge) for edge in np.percentile(known, (1, 99)))
    return (near, far) if far - near > 1e-3 else (near - 0.05, far + 0.05)


def score_text(predicted: Depth, truth: Depth) -> str:
    """Return δ1 and RMSE in metres over the pixels with truth (Eigen et al., NIPS 2014)."""
    known = known_depth(truth)
    if not known.any():
        return "no ground truth"
    wanted = truth[known].astype(np.float64)
    given = np.maximum(predicted[known].astype(np.float64), 1e-3)
    delta1 = np.mean(np.maximum(given / wanted, wanted / given) < 1.25)
    rmse = np.sqrt(np.mean((given - wanted) ** 2))
    return f"δ1 {delta1:.3f}   RMSE {rmse:.2f} m"


def _show(axes: Axes, picture: Photograph, note: str) -> None:
    axes.imshow(picture, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    axes.set_xlabel(note, fontsize=style.SMALL, labelpad=2)


def _depth_bar(figure: Figure, axes: list[Axes], near: float, far: float) -> None:
    colours = ScalarMappable(Normalize(near, far), COLOUR_MAP)
    figure.colorbar(
        colours, ax=axes, label="depth, m", fraction=0.05, pad=0.015, aspect=30, extend="both"
    )
