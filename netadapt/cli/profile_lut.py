"""``netadapt profile-lut``."""

from pathlib import Path
from typing import Annotated

import typer

from netadapt.cli.common import MAX_BATCH, Json, parse_size, print_json, say


def profile_lut(
    model: Annotated[
        str, typer.Option(help="Checkpoint, registry name or package.module:factory.")
    ],
    device: Annotated[str, typer.Option(help="cpu")] = "cpu",
    runtime: Annotated[str, typer.Option(help="onnxruntime or torch.")] = "onnxruntime",
    threads: Annotated[int, typer.Option(min=1)] = 1,
    precision: Annotated[str, typer.Option(help="fp32")] = "fp32",
    batch: Annotated[int, typer.Option(min=1, max=MAX_BATCH)] = 1,
    input_size: Annotated[
        str | None, typer.Option(help="HxW; a checkpoint brings its own.")
    ] = None,
    lut: Annotated[Path, typer.Option(help="Folder that holds the tables.")] = Path("lut"),
    channel_multiple: Annotated[int, typer.Option(min=1)] = 8,
    as_json: Annotated[bool, Json] = False,
) -> None:
    """Measure a latency table for one target; what is already in it is not measured again."""
    from netadapt.cli.models import load_with_input, say_if_fresh
    from netadapt.cli.views import stage_progress
    from netadapt.latency.devices import load_device
    from netadapt.latency.profiler import Schedule, profile
    from netadapt.latency.runtimes import load_runtime
    from netadapt.latency.table import LatencyTable
    from netadapt.pruning import trace

    target = load_device(device).target(
        load_runtime(runtime),
        threads,
        precision,  # type: ignore[arg-type]  # the device refuses what it does not know
        batch,
    )
    network, example = load_with_input(model, parse_size(input_size), batch)
    prunable = trace(network, example)
    table = LatencyTable.open(lut, target)
    with stage_progress() as progress:
        schedule = Schedule(channel_multiple=channel_multiple)
        report = profile(prunable, table, progress, schedule)
    say_if_fresh(model)
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
    print(table.folder)
