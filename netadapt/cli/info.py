"""``netadapt info``."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from netadapt.cli.common import Json, parse_size, print_json


def info(
    subject: Annotated[str, typer.Argument(metavar="MODEL|CHECKPOINT|lut/SLUG|RUN")],
    input_size: Annotated[
        str | None, typer.Option(help="HxW; a checkpoint brings its own.")
    ] = None,
    lut: Annotated[
        Path | None, typer.Option(help="Table for each group's share of the latency.")
    ] = None,
    as_json: Annotated[bool, Json] = False,
) -> None:
    """Describe a network, a checkpoint, a latency table or a run."""
    from netadapt.cli import describe
    from netadapt.cli.models import say_if_fresh

    path = Path(subject)
    if (path / "target.json").is_file():
        facts = describe.table(path)
    elif (path / "run.json").is_file():
        facts = describe.run(path)
    else:
        facts = describe.network(subject, parse_size(input_size), lut)
        say_if_fresh(subject)
    if as_json:
        print_json(facts)
    else:
        _show(facts)


def _show(facts: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    width = None if sys.stdout.isatty() else 1000  # a pipe has no edge to wrap at
    console = Console(highlight=False, markup=False, soft_wrap=True, width=width)
    for name, value in facts.items():
        if isinstance(value, list) and value and isinstance(value[0], dict):
            table = Table(title=name, box=None, padding=(0, 2), title_justify="left")
            for column, cell in value[0].items():
                table.add_column(column, justify="left" if isinstance(cell, str) else "right")
            for row in value:
                table.add_row(*("" if cell is None else str(cell) for cell in row.values()))
            console.print(table)
        elif isinstance(value, dict):
            console.print(f"{name}:")
            for key, item in value.items():
                console.print(f"  {key}: {item}")
        elif value is not None:
            console.print(f"{name}: {value}")
