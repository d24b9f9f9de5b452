"""Text files from outside: read whole, bounded, and refused in plain words.

All of them are UTF-8, with or without a byte-order mark, and their lines may end in any way.
"""

import json
import re
import tomllib
from pathlib import Path
from typing import Any

MAX_BYTES = 500_000_000
MAX_SETTINGS = 10_000_000  # bytes of a file that a person could have written
_PLACE = re.compile(r"line (\d+), column (\d+)")


def text_of(path: Path, most: int = MAX_BYTES) -> str:
    """Return what the file ``path`` holds.

    Args:
        path: an existing file.
        most: bytes to read.

    Raises:
        ValueError: it is larger, or not UTF-8, in plain words.
    """
    size = path.stat().st_size
    if size > most:
        raise ValueError(f"it has {size} bytes; at most {most} are read")
    try:
        return path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not text in UTF-8, from byte {error.start + 1} on") from None


def json_of(path: Path, most: int = MAX_SETTINGS) -> Any:
    """Return the JSON value in ``path``. Raises ``ValueError`` as ``text_of``, or if it is none."""
    text = text_of(path, most)
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(
            f"it is not JSON, from line {error.lineno}, column {error.colno} on"
        ) from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except ValueError:  # a number of thousands of digits
        raise ValueError("it holds a number that is too long") from None


def object_of(path: Path, most: int = MAX_SETTINGS) -> dict[str, Any]:
    """Return the JSON object in ``path``; ``ValueError`` as ``json_of``, or if it is none."""
    found = json_of(path, most)
    if not isinstance(found, dict):
        raise ValueError("it is not a JSON object")
    return found


def toml_of(path: Path, most: int = MAX_SETTINGS) -> dict[str, Any]:
    """Return the TOML tables in ``path``; ``ValueError`` as ``text_of``, or if it is none."""
    text = text_of(path, most)
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        place = _PLACE.search(str(error))
        where = f"from line {place[1]}, column {place[2]} on" if place else "it breaks off"
        raise ValueError(f"it is not TOML, {where}") from None
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    except ValueError:
        raise ValueError("it holds a number that is too long") from None


def require_few_columns(path: Path, most: int, most_bytes: int = MAX_BYTES) -> None:
    """Refuse a CSV file that would take minutes to read, by its first line.

    Raises:
        ValueError: it has more bytes or columns, in plain words.
    """
    size = path.stat().st_size
    if size > most_bytes:
        raise ValueError(f"it has {size} bytes; at most {most_bytes} are read")
    with path.open("rb") as file:
        columns = file.readline(most_bytes).count(b",") + 1
    if columns > most:
        raise ValueError(f"it has {columns} columns; at most {most} are read")


def csv_problem(error: Exception) -> str:
    """Return what is wrong with a CSV file that pandas or ``csv`` did not read, in plain words."""
    if isinstance(error, UnicodeDecodeError):
        return "it is not text in UTF-8"
    if type(error).__name__ == "EmptyDataError":
        return "it is empty"
    line = re.search(r"in line (\d+), saw", str(error))
    if line:
        return f"line {line[1]} has more fields than the header"
    return "it is not CSV"
