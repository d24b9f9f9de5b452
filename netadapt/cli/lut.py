"""``netadapt lut``: looking at latency tables."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from netadapt.cli.common import Json, parse_size, print_json, say
from netadapt.cli.declared import Command
from netadapt.cli.facts import rounded, show_facts, show_table
from netadapt.errors import UserError
from netadapt.options import LOCK

if TYPE_CHECKING:
    from netadapt.latency.catalogue import Difference

LUT = Path("lut")
PANELS = 12

Lut = Annotated[Path, typer.Option(metavar="FOLDER", help="Folder that holds the tables.")]
SLUG_HELP = "A table's folder, or its name under --lut."

TITLES = {
    "fields": "the targets differ in",
    "kinds": "workloads of both by kind (ratio b to a: of the sums; p10, p50, p90 of single ones)",
    "whole_networks": "whole networks timed on both (ratio b to a)",
    "movers": "biggest changes (apart: the ranges from p10 to p90 do not overlap)",
    "only_a": "only in a",
    "only_b": "only in b",
}

app = typer.Typer(rich_markup_mode=None)


@app.callback(invoke_without_command=True)
def lut(context: typer.Context) -> None:
    """Look at latency tables."""
    if context.invoked_subcommand is None:
        print(context.get_help())


def table_folder(slug: str, lut: Path) -> Path:
    """Return the folder of the table that a user calls ``slug``.

    Raises:
        UserError: there is none; the message lists the tables that exist.
    """
    for folder in (Path(slug), lut / slug):
        if (folder / "target.json").exists():
            return folder
    known = ", ".join(sorted(path.parent.name for path in lut.glob("*/target.json")))
    raise UserError(
        f"there is no latency table {slug}, here or in {lut}; "
        + (f"known: {known}" if known else "run: netadapt profile-lut")
    )


@app.command("list", cls=Command)
def list_(lut: Lut = LUT, as_json: Annotated[bool, Json] = False) -> None:
    """List the tables of a folder, with size and error."""
    from netadapt.cli import describe

    tables = describe.tables(lut)
    if as_json:
        print_json({"lut": lut, "tables": tables})
    elif tables:
        show_table(tables)
    else:
        say(f"{lut} holds no latency table; run: netadapt profile-lut")


@app.command(cls=Command)
def show(
    slug: Annotated[str, typer.Argument(metavar="SLUG", help=SLUG_HELP)],
    lut: Lut = LUT,
    as_json: Annotated[bool, Json] = False,
) -> None:
    """Describe a table: target, calibration, error on whole networks, what it covers."""
    from netadapt.cli import describe

    facts = describe.table(table_folder(slug, lut))
    if as_json:
        print_json(facts)
    else:
        show_facts(facts)


@app.command(cls=Command)
def diff(
    a: Annotated[str, typer.Argument(metavar="A", help=SLUG_HELP)],
    b: Annotated[str, typer.Argument(metavar="B", help=SLUG_HELP)],
    lut: Lut = LUT,
    top: Annotated[
        int, typer.Option(min=0, metavar="N", help="How many of the biggest changes to show.")
    ] = 10,
    as_json: Annotated[bool, Json] = False,
) -> None:
    """Compare two tables, such as two versions of a runtime, by kind of workload."""
    from netadapt.latency.catalogue import difference
    from netadapt.latency.table import LatencyTable

    folders = table_folder(a, lut), table_folder(b, lut)
    found = difference(*map(LatencyTable.load, folders))
    facts = {"a": str(folders[0]), "b": str(folders[1]), **_difference(found, top)}
    if as_json:
        print_json(facts)
    else:
        show_facts({TITLES.get(name, name): value for name, value in facts.items() if value})
        if found.shared.empty:
            say(
                "the tables share no workload: other shapes, or runtimes that fuse differently; "
                "profile both with the same --model and --input-size"
            )


@app.command(cls=Command)
def plot(
    slug: Annotated[str, typer.Argument(metavar="SLUG", help=SLUG_HELP)],
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Picture to write: FILE.png, .svg or .pdf. [default: plots/table.png in the "
            "table's folder]",
        ),
    ] = None,
    lut: Lut = LUT,
) -> None:
    """Draw a table: predicted against measured, and latency against channels."""
    from netadapt.latency.staircases import staircases
    from netadapt.latency.table import LatencyTable
    from netadapt.report import plot_table, save_figure

    folder = table_folder(slug, lut)
    table = LatencyTable.load(folder)
    if not table.rows:
        raise UserError(f"{folder} has no rows yet; run: netadapt profile-lut")
    validation = folder / "validation.csv"
    measured, curves = staircases(table, PANELS)
    figure = plot_table(
        folder.resolve().name, measured, curves, validation if validation.exists() else None
    )
    print(save_figure(figure, out or folder / "plots" / "table.png"))


@app.command(cls=Command)
def validate(
    slug: Annotated[str, typer.Argument(metavar="SLUG", help=SLUG_HELP)],
    model: Annotated[
        str | None,
        typer.Option(
            metavar="PATH",
            help="The network: a registry name, package.module:factory or a checkpoint. "
            "[default: the one the table was validated on]",
        ),
    ] = None,
    input_size: Annotated[
        str | None,
        typer.Option(
            metavar="HxW",
            help="Height and width of the network's input. [default: those of the validation]",
        ),
    ] = None,
    lock: Annotated[
        list[str] | None, typer.Option(metavar="PATTERN", help=f"{LOCK} [default: none]")
    ] = None,
    lut: Lut = LUT,
    as_json: Annotated[bool, Json] = False,
) -> None:
    """Measure the networks of a table's validation again, on this device; write nothing."""
    from netadapt.cli.models import load_with_input
    from netadapt.cli.views import stage_progress
    from netadapt.latency.table import LatencyTable
    from netadapt.latency.validation import (
        drift_percent,
        is_group,
        load_validation,
        summarise,
    )
    from netadapt.profiling.profiler import revalidate
    from netadapt.pruning import trace
    from netadapt.training.checkpoint import require_trusted_model

    table = LatencyTable.load(table_folder(slug, lut))
    remembered = table.target.calibrations[-1:]
    name = model or "".join(one.model for one in remembered)
    if not name:
        raise UserError(f"{table.folder} does not remember its network; give it with --model")
    if model is None:
        require_trusted_model(name, table.folder / "target.json")
    size = parse_size(input_size)
    if size is None and remembered and remembered[0].image_size:
        size = remembered[0].image_size
    inputs = () if size is not None or not remembered else remembered[0].inputs
    network = load_with_input(name, size, table.target.batch, inputs)
    prunable = trace(*network, lock or ())
    columns = load_validation(table.folder).columns
    if any(is_group(column) and column not in prunable.groups for column in columns):
        prunable = trace(*network, lock or (), allow_approximate=True)
    with stage_progress() as progress:
        now = revalidate(prunable, table, progress)
    report = summarise(now)
    facts = {
        "lut": str(table.folder),
        "networks": len(now),
        "mape_percent": report.mape,
        "within_5_percent": report.within_5,
        "within_10_percent": report.within_10,
        "spearman": report.spearman,
        "repeatability_percent": report.repeatability,
        "drift_percent": drift_percent(now),
    }
    if as_json:
        print_json(facts)
        return
    show_facts(rounded([facts])[0])
    drift = drift_percent(now)
    way = "slower" if drift > 0 else "faster"
    say(f"the median network is {abs(drift):.2f} % {way} than it was then")


def _difference(found: "Difference", top: int) -> dict[str, Any]:
    from netadapt.latency.catalogue import coverage, ratio_quantiles

    movers = found.shared.head(top).drop(columns="kind", errors="ignore")
    networks: dict[str, Any] | None = None
    if not found.networks.empty:
        networks = {
            "networks": len(found.networks),
            **rounded([ratio_quantiles(found.networks["ratio"])])[0],
        }
    return {
        "fields": [
            {"field": name, "a": str(pair[0]), "b": str(pair[1])}
            for name, pair in found.fields.items()
        ],
        "kinds": rounded(found.by_kind().to_dict("records")),
        "whole_networks": networks,
        "movers": rounded(movers.to_dict("records")),
        "only_a": rounded(coverage(found.only_a).to_dict("records")),
        "only_b": rounded(coverage(found.only_b).to_dict("records")),
    }
