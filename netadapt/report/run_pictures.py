"""The pictures of a run, written to files."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.figure import Figure
from numpy.typing import NDArray

from netadapt.errors import UserError
from netadapt.files import write_atomic
from netadapt.report.front import plot_front
from netadapt.report.samples import plot_predictions, plot_samples, read_samples
from netadapt.report.several import read_runs
from netadapt.report.widths import plot_widths

DPI = 150

# With no date and fixed ids, the same run gives the same file.
_UNDATED: dict[str, dict[str, Any]] = {
    ".png": {},
    ".svg": {"Date": None},
    ".pdf": {"CreationDate": None},
}


def plot_runs(paths: Sequence[Path], out: Path | None = None) -> list[Path]:
    """Draw the runs ``paths`` and return the files written.

    With ``out``, the front of the runs goes to that file. Without it, one run's front, widths
    and, where the run kept some, samples go to its ``plots`` folder; so does the one picture of a
    search for several targets or over several input sizes.

    Raises:
        UserError: a run cannot be read, ``out`` cannot be written or is no .png, .svg or .pdf,
            or several runs have no ``out``.
    """
    if not paths:
        raise UserError("no run to plot; name a run folder")
    if out is not None:
        _suffix(out)
    elif len(paths) > 1:
        raise UserError(f"{len(paths)} runs make one picture; name its file: --out FRONT.png")
    runs, joint = read_runs(paths)
    if out is None and [run.path for run in runs] != list(paths):
        out = paths[0] / "plots" / "front.png"
    if out is not None:
        return [save_figure(plot_front(runs, joint), out)]
    plots = {"front": plot_front(runs), "widths": plot_widths(runs[0])}
    samples = runs[0].path / "samples.npz"
    if samples.exists():
        plots["samples"] = plot_samples(read_samples(samples))
    folder = runs[0].path / "plots"
    return [save_figure(figure, folder / f"{name}.png") for name, figure in plots.items()]


def save_predictions(
    predictions: Sequence[tuple[Path, NDArray[np.float32], NDArray[np.float32]]], out: Path
) -> list[Path]:
    """Draw each photograph beside its depth, as ``<its name>-depth.png`` in the folder ``out``.

    Args:
        predictions: path, rgb ``(H, W, 3)`` in [0, 1] and depth ``(H, W)`` in metres of each.
        out: the folder; pictures of that name in it are replaced.

    Raises:
        UserError: two photographs share a name, or ``out`` cannot be written.
    """
    files: dict[Path, Path] = {}
    for photo, _, _ in predictions:
        file = out / f"{photo.stem}-depth.png"
        if file in files:
            raise UserError(
                f"{files[file]} and {photo} would both be {file}; predict one at a time"
            )
        files[file] = photo
    if out.exists() and not out.is_dir():
        raise UserError(f"cannot write into {out}: it is not a folder")
    return [
        save_figure(plot_predictions((rgb * 255).round().astype(np.uint8), depth), file)
        for file, (_, rgb, depth) in zip(files, predictions, strict=True)
    ]


def save_figure(figure: Figure, path: Path) -> Path:
    """Write ``figure`` to ``path``, whole or not at all, and return ``path``.

    Raises:
        UserError: ``path`` is no .png, .svg or .pdf, or cannot be written.
    """
    suffix = _suffix(path)
    picture = io.BytesIO()  # matplotlib does not survive a disk that is full
    with rc_context({"svg.hashsalt": "netadapt"}):
        figure.savefig(picture, format=suffix[1:], dpi=DPI, metadata=_UNDATED[suffix])
    write_atomic(path, picture.getvalue())
    return path


def _suffix(path: Path) -> str:
    suffix = path.suffix.lower()
    if suffix not in _UNDATED:
        raise UserError(f"cannot write {path}: a picture is a .png, .svg or .pdf file")
    return suffix
