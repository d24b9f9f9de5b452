"""What several commands parse and print alike."""

import json
import re
import sys
from pathlib import Path
from typing import Any

import typer

from netadapt.errors import UserError

# the options that several commands share
Json = typer.Option("--json", help="Print one JSON object on stdout.")


def parse_size(text: str | None) -> tuple[int, int] | None:
    """Turn ``HxW`` into ``(height, width)``."""
    if text is None:
        return None
    match = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text.strip())
    if not match or not all(int(part) > 0 for part in match.groups()):
        raise UserError(f"--input-size {text!r} is not HxW, as in 224x224")
    return int(match[1]), int(match[2])


def print_json(value: dict[str, Any]) -> None:
    """Print one JSON object on stdout."""
    print(json.dumps(value, indent=2, ensure_ascii=False, default=_plain))


def say(text: str) -> None:
    """Tell the user something on stderr."""
    print(text, file=sys.stderr, flush=True)


def _plain(value: object) -> object:
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} has no JSON form")
