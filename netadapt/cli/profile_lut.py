"""``netadapt profile-lut``."""

import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from netadapt.cli.common import Json, print_json, say
from netadapt.cli.declared import with_options
from netadapt.cli.fleet import measure_fleet
from netadapt.errors import UserError
from netadapt.latency.target import Options
from netadapt.options import NETWORK, PROFILING
from netadapt.profiling.request import ProfileRequest

if TYPE_CHECKING:
    from netadapt.latency.table import LatencyTable
    from netadapt.latency.validation import Report


@with_options(ProfileRequest, Options)
def profile_lut(
    context: typer.Context,
    model: Annotated[
        str | None,
        typer.Option(
            help="Network to profile: a registry name, package.module:factory or a checkpoint. "
            "[default: none; required unless --import]",
            rich_help_panel=NETWORK,
            metavar="PATH",
        ),
    ] = None,
    bundle: Annotated[
        Path | None,
        typer.Option(
            help="Write FILE.zip instead, to be run on a device without a network. [default: none]",
            rich_help_panel=PROFILING,
            metavar="FILE.zip",
        ),
    ] = None,
    results: Annotated[
        Path | None,
        typer.Option(
            "--import",
            help="Make the table from the results of a bundle. [default: none]",
            rich_help_panel=PROFILING,
            metavar="FILE",
        ),
    ] = None,
    devices: Annotated[
        Path | None,
        typer.Option(
            help="Profile the devices of this file, each into a table of its own. [default: none]",
            rich_help_panel=PROFILING,
            metavar="DEVICES.toml",
        ),
    ] = None,
    as_json: Annotated[bool, Json] = False,
    **given: Any,
) -> None:
    """Measure a latency table for one target; what is already in it is not measured again."""
    lut = Path(given.get("lut", "lut"))
    if results is not None:
        _refuse_besides(context, "--import", {"results", "lut", "as_json"})
        _import(results, lut, as_json)
        return
    if model is None:
        raise UserError("give --model, or --import with the results of a bundle")
    if devices is not None:
        of_the_fleet = {
            "model",
            "input_size",
            "inputs",
            "output",
            "lut",
            "channel_multiple",
            "lock",
            "allow_approximate",
            "as_json",
            "devices",
        }
        _refuse_besides(context, "--devices", of_the_fleet)
        measure_fleet(devices, model, ProfileRequest(**given), as_json)
        return
    if bundle is not None:
        of_the_network = {
            "model",
            "input_size",
            "inputs",
            "output",
            "channel_multiple",
            "lock",
            "allow_approximate",
            "runtime",
            "as_json",
            "bundle",
        }
        _refuse_besides(context, "--bundle", of_the_network | set(Options.model_fields))
        _bundle(bundle, model, given, as_json)
        return
    measure_table(model, as_json=as_json, **given)


def measure_table(model: str, *, as_json: bool = False, **given: Any) -> None:
    """Fill the table of one target and say how good it is."""
    from netadapt.api import filled_table
    from netadapt.cli.describe import latency_range
    from netadapt.cli.models import say_if_fresh
    from netadapt.cli.views import stage_progress

    with stage_progress() as progress:
        table, report, prunable = filled_table(model, None, None, progress, given)
    say_if_fresh(model)
    reach = latency_range(prunable, table, given.get("channel_multiple", 8))
    _show(table, report, as_json, reach)


def _bundle(bundle: Path, model: str, given: dict[str, Any], as_json: bool) -> None:
    from netadapt.cli.models import load_with_input
    from netadapt.models.inputs import named_batch
    from netadapt.profiling.bundle import write_bundle
    from netadapt.profiling.runtimes import BUNDLE_ONLY, load_runtime
    from netadapt.pruning import trace

    runtime = load_runtime(given.get("runtime", "onnxruntime"))
    chosen = Options.parse(
        **{name: value for name, value in given.items() if name in Options.model_fields}
    )
    inputs = given.get("inputs", ())
    if inputs and "batch" not in given:
        chosen = chosen.model_copy(update={"batch": named_batch(inputs)})
    network = load_with_input(
        model, given.get("input_size"), chosen.batch, inputs, given.get("output")
    )
    prunable = trace(*network, given.get("lock", ()), given.get("allow_approximate", False))
    multiple = given.get("channel_multiple", runtime.schedule.channel_multiple)
    schedule = replace(runtime.schedule, channel_multiple=multiple)
    write_bundle(prunable, runtime, chosen, bundle, schedule)
    if as_json:
        print_json({"bundle": bundle})
    else:
        name = shlex.quote(bundle.name)
        start = f"python3 {name}"
        if runtime.name in BUNDLE_ONLY:
            start = f"python3 -m zipfile -e {name} FOLDER; sh FOLDER/run.sh"
        say(f"on the device: {start}; its README.txt says what it needs")
        print(bundle)


def _import(results: Path, lut: Path, as_json: bool) -> None:
    from netadapt.cli.views import stage_progress
    from netadapt.profiling.bundle import import_results

    with stage_progress() as progress:
        table, report = import_results(results, lut, progress)
    _show(table, report, as_json)


def _refuse_besides(context: typer.Context, option: str, known: set[str]) -> None:
    """Raise a ``UserError`` for options that were given and mean nothing beside ``option``."""
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if source is not None and source.name == "COMMANDLINE" and parameter.name not in known:
            raise UserError(f"{option} takes no {parameter.opts[0]}")


def _show(
    table: "LatencyTable", report: "Report", as_json: bool, reach: dict[str, float] | None = None
) -> None:
    reach = reach or {}
    if as_json:
        print_json({"lut": table.folder, **vars(report), **reach})
        return
    say(
        f"{table.folder}: {report.added} of {report.workloads} workloads measured now, "
        f"{len(table.rows)} in all"
    )
    say(
        f"whole networks: error {report.mape:.2f} % on average, "
        f"{report.within_5:.0f} % within 5 %, "
        f"{report.within_10:.0f} % within 10 %, Spearman {report.spearman:.4f}; "
        f"the same networks measured twice differ by {report.repeatability:.2f} %"
    )
    if report.energy_mape is not None:
        say(f"energy of a run: error {report.energy_mape:.2f} % on average")
    if report.warning:
        say(f"warning: {report.warning}")
    if reach:
        say(
            f"the network takes {reach['predicted_ms']:.4g} ms (p50); budgets down to about "
            f"{reach['narrowest_ms']:.4g} ms can be met"
        )
    if "predicted_mj" in reach:
        say(
            f"a run takes {reach['predicted_mj']:.4g} mJ; budgets down to about "
            f"{reach['narrowest_mj']:.4g} mJ can be met"
        )
    print(table.folder)
