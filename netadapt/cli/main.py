"""The ``netadapt`` command: exit codes and errors; every command has a file of its own."""

import errno
import itertools
import sys
from typing import Annotated, NoReturn

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
from netadapt.cli.screen import say
from netadapt.cli.streams import discard_stdout, open_streams
from netadapt.errors import UserError
from netadapt.extras import remedy
from netadapt.factories import trust

# what Typer raises for a wrong option; it has moved its parser from one package to another
UsageError: type[Exception] = typer.BadParameter.__bases__[0]

INTERRUPTED = 130
CANNOT_WRITE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EBADF)
MAY_BE_EMPTY = ("--cpus", "--provider")  # an empty value means the system's own choice

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
    open_streams()
    try:
        code = _run(sys.argv[1:] or ["--help"])
        sys.stdout.flush()
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
    except BrokenPipeError:  # the reader has closed the pipe
        discard_stdout()
        sys.exit(0)
    except OSError as error:
        if error.filename is not None:
            _fail(f"{error.filename}: {error.strerror or error}")
        if error.errno not in CANNOT_WRITE:  # a bug: the error is not about a file
            raise
        _fail(f"cannot write to stdout: {error.strerror}; free some space, or send it elsewhere")
    sys.exit(code)


def _run(words: list[str]) -> int:
    """Run the command in ``words`` and return its exit code."""
    words = _trust_first(words)
    _refuse_empty(words)
    try:
        # not Command.main, which turns a broken pipe into exit code 1
        with typer.main.get_command(app).make_context("netadapt", words) as context:
            context.command.invoke(context)
    except typer.Exit as end:
        return end.exit_code
    return 0


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


def _refuse_empty(words: list[str]) -> None:
    """Raise a ``UserError`` for ``--out ""``: an empty path would be the current folder."""
    for word, following in itertools.pairwise([*words, "end"]):
        option, equals, value = word.partition("=")
        empty = not value if equals else not following
        if option.startswith("--") and option not in MAY_BE_EMPTY and empty:
            raise UserError(f"{option} is empty; give it a value or leave it out")


def _fail(message: str) -> NoReturn:
    say(f"error: {' '.join(message.split())}")
    discard_stdout()
    sys.exit(2)


def _interrupted() -> NoReturn:
    say("interrupted")
    discard_stdout()
    sys.exit(INTERRUPTED)
