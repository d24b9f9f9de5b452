"""Parsing and printing that several commands share."""

import json
import math
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from netadapt.cli.screen import say
from netadapt.cli.streams import holds_all_text
from netadapt.errors import UserError
from netadapt.image_sizes import MAX_SIDE, parse_size, parse_sizes
from netadapt.options import INPUTS, NETWORK, OUTPUT_OF

__all__ = [
    "MAX_BATCH",
    "MAX_SIDE",
    "BadSample",
    "InputSize",
    "Inputs",
    "Json",
    "Loss",
    "NoDevice",
    "Output",
    "TaskOption",
    "counted",
    "key_values",
    "parse_size",
    "parse_sizes",
    "print_json",
    "say",
    "with_task_options_of_depth",
]

# the options that several commands share
BadSample = Annotated[
    str | None,
    typer.Option(
        help="What to do with a frame that cannot be used (task depth): fail or skip. "
        "[default: fail]",
        metavar="NAME",
        rich_help_panel=NETWORK,
    ),
]
Loss = Annotated[
    str | None,
    typer.Option(
        help="Loss of task depth: l1, l1-log, berhu, silog, silog-gradient or densedepth. "
        "[default: the network's recipe]",
        metavar="NAME",
        rich_help_panel=NETWORK,
    ),
]
TaskOption = Annotated[
    list[str] | None,
    typer.Option(
        metavar="KEY=VALUE",
        help="An option of the task, such as its loss; repeatable. [default: the task's own]",
    ),
]
InputSize = Annotated[
    str | None,
    typer.Option(
        metavar="HxW",
        help="Height and width of the network's input. [default: the checkpoint's own]",
    ),
]
Inputs = Annotated[
    list[str] | None,
    typer.Option(
        "--input",
        metavar="NAME=SIZES",
        help=f"{INPUTS} [default: the checkpoint's own]",
    ),
]
Output = Annotated[
    str | None,
    typer.Option(metavar="NAME", help=f"{OUTPUT_OF} [default: the checkpoint's own, or all]"),
]
Json = typer.Option(
    "--json",
    help="Print one JSON object on stdout. [default: off]",
    show_default=False,
)


def _no_device(device: str | None) -> None:
    if device is not None:
        raise UserError(
            f"--device is what is timed; where training computes is --train-on: give "
            f"--train-on {device}"
        )


NoDevice = Annotated[str | None, typer.Option("--device", hidden=True, callback=_no_device)]


MAX_BATCH = 4096


def key_values(option: str, given: list[str], *, patterns: bool = False) -> dict[str, Any]:
    """Turn KEY=VALUE words into options; values are JSON if they can be read as JSON, else text.

    Args:
        option: the option's name, for messages.
        given: the words.
        patterns: whether keys are patterns of names, not names.
    """
    options: dict[str, Any] = {}
    form = "PATTERN=FACTOR, as in encoder.*=0.1" if patterns else "KEY=VALUE, as in num_layers=50"
    for word in given:
        key, equals, text = word.partition("=")
        if not equals or not (key if patterns else key.isidentifier()):
            raise UserError(f"{option} {word!r} is not {form}")
        try:
            options[key] = json.loads(text)
        except (ValueError, RecursionError):
            options[key] = text
    return options


def with_task_options_of_depth(given: dict[str, Any], **flags: str | None) -> dict[str, Any]:
    """Return the options, with the flags of task depth (such as ``--loss``) as task options."""
    options = {name: value for name, value in flags.items() if value is not None}
    if not options:
        return given
    return {**given, "task_options": {**given.get("task_options", {}), **options}}


def print_json(value: dict[str, Any]) -> None:
    """Print one JSON object on stdout; infinite numbers and NaN become ``null``."""
    ascii_only = not holds_all_text(sys.stdout)
    print(json.dumps(_finite(value), indent=2, ensure_ascii=ascii_only, default=_plain))


def counted(number: int, noun: str) -> str:
    """Return ``1 point`` or ``2 points``."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _plain(value: object) -> object:
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")
