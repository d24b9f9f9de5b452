"""The ``netadapt`` command: exit codes and errors; every command has a file of its own."""

import os
import sys
from typing import Annotated

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
    report,
    search,
    train,
)
from netadapt.cli.declared import Command
from netadapt.errors import UserError
from netadapt.extras import remedy
from netadapt.factories import trust

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


@app.callback()
def options(
    trusted: Annotated[
        list[str] | None,
        typer.Option(
            "--trust",
            metavar="PACKAGE.MODULE",
            help="Code of yours that checkpoints, tables and runs may run; repeatable, before or "
            "after the command. [default: what NETADAPT_TRUST names, comma separated]",
        ),
    ] = None,
) -> None:
    """Fit a neural network to a device's latency budget."""
    for name in trusted or []:
        trust(name)


app.command("demo", cls=Command)(demo.demo)
app.command("train", cls=Command)(train.train)
app.command("evaluate", cls=Command)(evaluate.evaluate)
app.command("profile-lut", cls=Command)(profile_lut.profile_lut)
app.add_typer(lut.app, name="lut")
app.command("search", cls=Command)(search.search)
app.command("plot", cls=Command)(plot.plot)
app.command("report", cls=Command)(report.report)
app.command("benchmark", cls=Command)(benchmark.benchmark)
app.command("export", cls=Command)(export.export)
app.command("predict", cls=Command)(predict.predict)
app.command("info", cls=Command)(info.info)


def main() -> None:
    """Run the command line and exit: 0; 2 for errors the user can fix; 130 when interrupted."""
    try:
        code = app(_trust_first(sys.argv[1:]) or ["--help"], standalone_mode=False)
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
        if error.filename is None:  # not about a file of the user's
            raise
        _fail(f"{error.filename}: {error.strerror or error}")
    if code == INTERRUPTED:  # newer Typers turn the interrupt into a code
        _interrupted()
    sys.exit(code if isinstance(code, int) else 0)


def _trust_first(words: list[str]) -> list[str]:
    """Return ``words`` with every ``--trust NAME`` before the command, where Typer looks for it."""
    first: list[str] = []
    rest: list[str] = []
    left = iter(words)
    for word in left:
        if word == "--":
            rest += [word, *left]
        elif word == "--trust":
            name = next(left, None)
            if name is None:
                raise UserError("--trust needs a value: PACKAGE.MODULE")
            first += [word, name]
        elif word.startswith("--trust="):
            first.append(word)
        else:
            rest.append(word)
    return first + rest


def _fail(message: str) -> None:
    line = " ".join(message.split())
    print(f"error: {line}", file=sys.stderr)
    sys.exit(2)


def _interrupted() -> None:
    print("interrupted", file=sys.stderr)
    sys.exit(INTERRUPTED)
