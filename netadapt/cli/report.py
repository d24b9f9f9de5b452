"""``netadapt report``."""

from pathlib import Path
from typing import Annotated

import typer

from netadapt.cli.common import say
from netadapt.errors import UserError
from netadapt.extras import remedy


def report(
    paths: Annotated[
        list[Path], typer.Argument(metavar="RUN...", help="Run folders, or one lut/SLUG.")
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Page to write: FILE.html. [default: report.html in the run, here for several]",
        ),
    ] = None,
    watch: Annotated[
        bool,
        typer.Option(
            "--watch",
            help="Serve the page on this machine only; it reloads itself while the run goes on. "
            "[default: off]",
            show_default=False,
        ),
    ] = False,
    port: Annotated[
        int,
        typer.Option(
            min=0,
            max=65535,
            metavar="N",
            help="Port that --watch serves on; 0 is any free one. [default: 0]",
            show_default=False,
        ),
    ] = 0,
) -> None:
    """Write a page to look at: front, sample pictures, widths, time, the walk."""
    from netadapt.report.page import serve, write_page

    if not watch:
        print(write_page(paths, out))
    elif out is not None:
        raise UserError("--watch serves the page and writes no file; leave --out or --watch away")
    else:
        serve(paths, port, lambda address: print(address, flush=True))


def tell_of_page(folder: Path) -> None:
    """Write the page of a finished search and say where; a search does not fail for its page."""
    try:
        from netadapt.report.page import write_page

        say(f"page to look at: {write_page([folder])}")
    except UserError as error:
        say(f"no page was written: {error}")
    except ModuleNotFoundError as error:
        line = remedy(error)
        if line is None:
            raise
        say(f"no page was written: {line}")
