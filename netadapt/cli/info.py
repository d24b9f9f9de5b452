"""``netadapt info``."""

from pathlib import Path
from typing import Annotated

import typer

from netadapt.cli.common import Inputs, InputSize, Json, Output, parse_size, parse_sizes, print_json
from netadapt.cli.facts import show_facts
from netadapt.errors import UserError
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
    input_sizes: Annotated[
        str | None,
        typer.Option(
            metavar="HxW,...",
            help="Also show what the network costs at each of several input sizes; the rest is of "
            "the first. [default: none]",
        ),
    ] = None,
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
    from netadapt.cli.input_sizes import costs_at, search_facts
    from netadapt.cli.models import say_if_fresh

    sizes = parse_sizes(input_sizes) if input_sizes is not None else ()
    if sizes and (input_size is not None or inputs):
        raise UserError("give --input-sizes or --input-size (or --input), not both")
    path = Path(subject)
    if (path / "target.json").is_file():
        facts = describe.table(path)
    elif (path / "run.json").is_file():
        facts = describe.run(path)
    elif (path / "sizes.json").is_file():
        facts = search_facts(path)
    else:
        facts = describe.network(
            subject,
            sizes[0] if sizes else parse_size(input_size),
            lut,
            lock or (),
            inputs or (),
            output,
            allow_approximate,
            blocks,
        )
        if sizes:
            facts["input_sizes"] = costs_at(subject, sizes, lut, output)
        say_if_fresh(subject)
    if as_json:
        print_json(facts)
    else:
        show_facts(facts)
