"""The ``netadapt`` command: exit codes and errors; every command has a file of its own."""

import os
import sys

import typer

from netadapt.cli import (
    benchmark,
    demo,
    evaluate,
    export,
    info,
    lut,
    plot,
    predict,
    profile_lut,
    search,
    train,
)
from netadapt.errors import UserError
from netadapt.extras import remedy

# what Typer raises for a wrong option; it has moved its parser from one package to another
UsageError: type[Exception] = typer.BadParameter.__bases__[0]

INTERRUPTED = 130

app = typer.Typer(
    name="netadapt",
    help="Fit a neural network to a device's latency budget.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("demo")(demo.demo)
app.command("train")(train.train)
app.command("evaluate")(evaluate.evaluate)
app.command("profile-lut")(profile_lut.profile_lut)
app.add_typer(lut.app, name="lut")
app.command("search")(search.search)
app.command("plot")(plot.plot)
app.command("benchmark")(benchmark.benchmark)
app.command("export")(export.export)
app.command("predict")(predict.predict)
app.command("info")(info.info)


def main() -> None:
    """Run the command line and exit: 0; 2 for what the user can mend; 130 when interrupted."""
    try:
        code = app(sys.argv[1:] or ["--help"], standalone_mode=False)
    except UserError as error:
        _fail(str(error))
    except ModuleNotFoundError as error:
        line = remedy(error)
        if line is None:
            raise
        _fail(line)
    except (typer.Abort, KeyboardInterrupt):
        _interrupted()
    except UsageError as error:
        _fail(error.format_message())  # type: ignore[attr-defined]
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        if error.filename is None:  # not about a file that the user could mend
            raise
        _fail(f"{error.filename}: {error.strerror or error}")
    if code == INTERRUPTED:  # newer Typers turn the interrupt into a code
        _interrupted()
    sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str) -> None:
    line = " ".join(message.split())
    print(f"error: {line}", file=sys.stderr)
    sys.exit(2)


def _interrupted() -> None:
    print("interrupted", file=sys.stderr)
    sys.exit(INTERRUPTED)
