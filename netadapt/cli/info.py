"""``netadapt info``."""

from pathlib import Path
from typing import Annotated

import typer

from netadapt.cli.common import Inputs, InputSize, Json, Output, parse_size, print_json
from netadapt.cli.facts import show_facts
from netadapt.options import APPROXIMATE, BLOCKS, LOCK


def info(
    subject: Annotated[
        str,
        typer.Argument(
            metavar="MODEL|CHECKPOINT|lut/SLUG|RUN",
            help="A registry name, package.module:factory, a checkpoint, the folder of a table "
            "(lut/SLUG) or of a run.",
        ),
    ],
    input_size: InputSize = None,
    inputs: Inputs = None,
    output: Output = None,
    lut: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Table by which the latency is predicted, lut/SLUG. [default: none]",
        ),
    ] = None,
    lock: Annotated[
        list[str] | None, typer.Option(metavar="PATTERN", help=f"{LOCK} [default: none]")
    ] = None,
    allow_approximate: Annotated[
        bool, typer.Option("--allow-approximate", help=f"{APPROXIMATE} [default: off]")
    ] = False,
    blocks: Annotated[bool, typer.Option("--blocks", help=f"{BLOCKS}. [default: off]")] = False,
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
        facts = describe.network(
            subject,
            parse_size(input_size),
            lut,
            lock or (),
            inputs or (),
            output,
            allow_approximate,
            blocks,
        )
        say_if_fresh(subject)
    if as_json:
        print_json(facts)
    else:
        show_facts(facts)
