"""What several commands parse and print alike."""

import json
import math
import re
from pathlib import Path
from typing import Annotated, Any

import typer

from netadapt.cli.screen import say
from netadapt.errors import UserError

__all__ = [
    "MAX_BATCH",
    "BadSample",
    "Json",
    "TaskOption",
    "counted",
    "key_values",
    "parse_size",
    "print_json",
    "say",
    "task_options",
]

# the options that several commands share
BadSample = Annotated[
    str | None,
    typer.Option(
        help="What a frame that cannot be used leads to (task depth only): fail or skip. "
        "Default: fail."
    ),
]
TaskOption = Annotated[
    list[str] | None,
    typer.Option(metavar="KEY=VALUE", help="An option of the task; repeatable."),
]
Json = typer.Option("--json", help="Print one JSON object on stdout.")


MAX_SIDE = 4096
MAX_BATCH = 4096


def parse_size(text: str | None) -> tuple[int, int] | None:
    """Turn ``HxW`` into ``(height, width)``."""
    if text is None:
        return None
    match = re.fullmatch(r"([0-9]{1,9})x([0-9]{1,9})", text.strip())
    if not match:
        raise UserError(f"--input-size {text!r} is not HxW, as in 224x224")
    height, width = int(match[1]), int(match[2])
    if not (1 <= height <= MAX_SIDE and 1 <= width <= MAX_SIDE):
        raise UserError(f"--input-size {text} is outside 1 to {MAX_SIDE} pixels a side")
    return height, width


def key_values(option: str, given: list[str]) -> dict[str, Any]:
    """Turn KEY=VALUE words into options; values are JSON where they can be, else text."""
    options: dict[str, Any] = {}
    for word in given:
        key, equals, text = word.partition("=")
        if not equals or not key.isidentifier():
            raise UserError(f"{option} {word!r} is not KEY=VALUE, as in num_layers=50")
        try:
            options[key] = json.loads(text)
        except (ValueError, RecursionError):
            options[key] = text
    return options


def task_options(words: list[str] | None, **given: str | None) -> dict[str, Any]:
    """Return what ``--task-option`` says, with the options that have a flag of their own."""
    flags = {name: value for name, value in given.items() if value is not None}
    return key_values("--task-option", words or []) | flags


def print_json(value: dict[str, Any]) -> None:
    """Print one JSON object on stdout; what is not a finite number becomes ``null``."""
    print(json.dumps(_finite(value), indent=2, ensure_ascii=False, default=_plain))


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
