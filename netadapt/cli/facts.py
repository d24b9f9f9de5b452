"""Facts on stdout: names with values, and tables."""

import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table

UNBOUNDED = 100_000  # columns
INDENT, GAP = "  ", "   "
UNITS = {"percent": "%", "us": "µs", "ms": "ms", "s": "s", "mb": "MB", "mj": "mJ"}
HEADINGS = {
    "mape_percent": "error %",
    "repeatability_percent": "repeats to %",
    "ratio_p10": "p10",
    "ratio_p50": "p50",
    "ratio_p90": "p90",
}


class Output(Console):
    """A console on stdout. Raises ``BrokenPipeError`` if nobody reads stdout any more."""

    def on_broken_pipe(self) -> None:
        """Raise the error: rich would end the process with exit code 1."""
        raise BrokenPipeError


def show_facts(facts: Mapping[str, Any]) -> None:
    """Print facts: lists of dictionaries as tables, dictionaries indented; skip empty texts."""
    console = stdout_console()
    for name, value in facts.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            show_table(value, name)
        elif isinstance(value, dict):
            console.print(f"{name}:")
            for key, item in value.items():
                if item != "":
                    console.print(f"  {key}: {item}")
        elif value is not None:
            console.print(f"{name}: {value}")


def show_table(rows: Sequence[Mapping[str, Any]], title: str | None = None) -> None:
    """Print ``rows`` as a table or, where the terminal is too narrow for it, as a block each."""
    console, table = stdout_console(), table_of(rows, title)
    unbounded = console.options.update(width=UNBOUNDED)
    if table.__rich_measure__(console, unbounded).maximum <= console.width:
        console.print(table)
        return
    if title:
        console.print(f"{title}:")
    for place in range(len(rows)):
        (_, name), *rest = [(str(c.header), list(c.cells)[place]) for c in table.columns]
        console.print(name)
        facts = [f"{heading}: {value}" for heading, value in rest if value]
        for line in _filled(facts, console.width - len(INDENT)):
            console.print(INDENT + line)


def _filled(words: Iterable[str], width: int) -> Iterator[str]:
    """Put as many of ``words`` on a line as fit."""
    line = ""
    for word in words:
        if line and len(line) + len(GAP) + len(word) > width:
            yield line
            line = ""
        line += GAP + word if line else word
    if line:
        yield line


def stdout_console() -> Console:
    """Return a console on stdout, as wide as the terminal; in a pipe, lines do not wrap."""
    width = None if sys.stdout.isatty() else 1000
    return Output(highlight=False, markup=False, soft_wrap=True, width=width)


def table_of(rows: Sequence[Mapping[str, Any]], title: str | None = None) -> Table:
    """Return ``rows`` as a table: text left, numbers right, no empty columns."""
    table = Table(title=title, box=None, padding=(0, 1), title_justify="left")
    columns = {
        name: _column([row[name] for row in rows])
        for name in rows[0]
        if any(cell(row[name]) for row in rows)
    }
    for name in columns:
        words = all(isinstance(row[name], str) for row in rows)
        # a narrow terminal folds a long name, so that it can still be copied
        table.add_column(_heading(name), justify="left" if words else "right", overflow="fold")
    for cells in zip(*columns.values(), strict=True):
        table.add_row(*cells)
    return table


def cell(value: object) -> str:
    """Return one value as text: a range as ``8-64``, an unknown value as nothing."""
    if value is None or value != value:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return "-".join(dict.fromkeys(map(cell, value)))
    return str(value)


def _column(values: Sequence[object]) -> list[str]:
    """Return a column as text; all floats get as many decimals as the longest of them has."""
    cells = [cell(value) for value in values]
    decimals = max(
        (len(text.partition(".")[2]) for text, v in zip(cells, values, strict=True) if _real(v)),
        default=0,
    )
    return [
        f"{value:.{decimals}f}" if _real(value) else text
        for text, value in zip(cells, values, strict=True)
    ]


def _real(value: object) -> bool:
    return isinstance(value, float) and math.isfinite(value)


def _heading(name: str) -> str:
    """``within_5_percent`` is ``within 5 %``, ``a_us`` is ``a µs``."""
    if name in HEADINGS:
        return HEADINGS[name]
    words, _, unit = name.rpartition("_")
    return f"{words} {UNITS[unit]}".replace("_", " ") if unit in UNITS else name.replace("_", " ")


def rounded(rows: Iterable[Mapping[Any, Any]]) -> list[dict[str, Any]]:
    """Return ``rows`` with rounded floats; the column's name decides how many digits are kept."""
    return [
        {str(name): _rounded(value, _digits(str(name))) for name, value in row.items()}
        for row in rows
    ]


def _digits(name: str) -> int:
    if "ratio" in name:
        return 3
    return {"percent": 1, "mb": 1, "ms": 3}.get(name.rpartition("_")[2], 2)


def _rounded(value: Any, digits: int) -> Any:
    if isinstance(value, list):
        return [_rounded(item, digits) for item in value]
    return round(value, digits) if isinstance(value, float) else value
