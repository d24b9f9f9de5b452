"""``netadapt profile-lut``."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from netadapt.cli.common import MAX_BATCH, Json, parse_size, print_json, say
from netadapt.cli.fleet import measure_fleet
from netadapt.errors import UserError

if TYPE_CHECKING:
    from netadapt.latency.table import LatencyTable
    from netadapt.latency.validation import Report


UNSTEADY = 3.0  # percent between two measurements of the same networks


def profile_lut(
    context: typer.Context,
    model: Annotated[
        str | None, typer.Option(help="Checkpoint, registry name or package.module:factory.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda[:N] or ssh://user@host[:port].")] = "cpu",
    runtime: Annotated[
        str,
        typer.Option(help="onnxruntime, torch, torch-compile, openvino, executorch or tvm."),
    ] = "onnxruntime",
    threads: Annotated[int, typer.Option(min=1)] = 1,
    cpus: Annotated[str, typer.Option(help="Cores to stay on, as 0,2-3.")] = "",
    precision: Annotated[
        str,
        typer.Option(help="fp32, bf16, fp16 or int8, where runtime and CPU have it."),
    ] = "fp32",
    batch: Annotated[int, typer.Option(min=1, max=MAX_BATCH)] = 1,
    provider: Annotated[str, typer.Option(help="onnxruntime's: cuda or tensorrt.")] = "",
    tune: Annotated[int, typer.Option(min=0, help="Trials of tvm's auto-tuning.")] = 0,
    input_size: Annotated[
        str | None, typer.Option(help="HxW; a checkpoint brings its own.")
    ] = None,
    lut: Annotated[Path, typer.Option(help="Folder that holds the tables.")] = Path("lut"),
    channel_multiple: Annotated[int, typer.Option(min=1)] = 8,
    bundle: Annotated[
        Path | None, typer.Option(help="Write FILE.zip, to be run on a device without a network.")
    ] = None,
    results: Annotated[
        Path | None, typer.Option("--import", help="Make the table of what a bundle measured.")
    ] = None,
    devices: Annotated[
        Path | None, typer.Option(help="DEVICES.toml: a fleet, each device into its own table.")
    ] = None,
    as_json: Annotated[bool, Json] = False,
) -> None:
    """Measure a latency table for one target; what is already in it is not measured again."""
    if results is not None:
        _refuse_besides(context, "--import", {"results", "lut", "as_json"})
        _import(results, lut, as_json)
        return
    if model is None:
        raise UserError("give --model, or --import with the results of a bundle")

    if devices is not None:
        of_the_fleet = {"model", "input_size", "lut", "channel_multiple", "as_json", "devices"}
        _refuse_besides(context, "--devices", of_the_fleet)
        measure_fleet(devices, model, input_size, lut, channel_multiple, as_json)
        return
    options = {
        "threads": threads, "cpus": cpus, "precision": precision, "batch": batch,
        "provider": provider, "tune": tune,
    }  # fmt: skip
    if bundle is not None:
        of_the_network = {"model", "input_size", "channel_multiple", "runtime", "as_json", "bundle"}
        _refuse_besides(context, "--bundle", of_the_network | set(options))
        _bundle(bundle, model, runtime, input_size, channel_multiple, options, as_json)
        return
    measure_table(
        model, lut, device, runtime, input_size, channel_multiple, as_json=as_json, **options
    )


def measure_table(
    model: str,
    lut: Path,
    device: str = "cpu",
    runtime: str = "onnxruntime",
    input_size: str | None = None,
    channel_multiple: int = 8,
    *,
    as_json: bool = False,
    **options: object,
) -> None:
    """Fill the table of one target and say how good it is."""
    from netadapt.cli.models import load_with_input, say_if_fresh
    from netadapt.cli.views import stage_progress
    from netadapt.latency.table import LatencyTable
    from netadapt.latency.target import Options
    from netadapt.profiling.devices import load_device
    from netadapt.profiling.profiler import profile
    from netadapt.profiling.runtimes import load_runtime
    from netadapt.pruning import trace

    loaded = load_runtime(runtime)
    target = load_device(device).target(loaded, Options.parse(**options))
    prunable = trace(*load_with_input(model, parse_size(input_size), target.batch))
    table = LatencyTable.open(lut, target)
    with stage_progress() as progress:
        schedule = replace(loaded.schedule, channel_multiple=channel_multiple)
        report = profile(prunable, table, progress, schedule)
    say_if_fresh(model)
    _show(table, report, as_json)


def _bundle(
    bundle: Path,
    model: str,
    runtime: str,
    input_size: str | None,
    channel_multiple: int,
    options: dict[str, object],
    as_json: bool,
) -> None:
    from netadapt.cli.models import load_with_input
    from netadapt.latency.target import Options
    from netadapt.profiling.bundle import write_bundle
    from netadapt.profiling.runtimes import load_runtime
    from netadapt.pruning import trace

    loaded, chosen = load_runtime(runtime), Options.parse(**options)
    prunable = trace(*load_with_input(model, parse_size(input_size), chosen.batch))
    schedule = replace(loaded.schedule, channel_multiple=channel_multiple)
    write_bundle(prunable, loaded, chosen, bundle, schedule)
    if as_json:
        print_json({"bundle": bundle})
    else:
        say(f"on the device: python3 {bundle.name}; its README.txt says what it needs")
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


def _show(table: "LatencyTable", report: "Report", as_json: bool) -> None:
    if as_json:
        print_json({"lut": table.folder, **vars(report)})
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
    if report.repeatability > UNSTEADY:
        say(
            "the clock does not repeat itself: something else keeps this machine busy; for a table "
            "to rely on, remove the folder and profile again when it is quiet"
        )
    print(table.folder)
