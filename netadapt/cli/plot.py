"""``netadapt plot``."""

from pathlib import Path
from typing import Annotated

import typer


def plot(
    runs: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Run folders, or one of several runs.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Picture to write: FILE.png, .svg or .pdf. [default: plots/ in the run]",
        ),
    ] = None,
) -> None:
    """Draw fronts, widths and samples of one run, or overlay several fronts."""
    from netadapt.report.run_pictures import plot_runs

    for path in plot_runs(runs, out):
        print(path)
