"""``netadapt benchmark``."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from netadapt.cli.common import Json, print_json
from netadapt.cli.declared import with_options
from netadapt.latency.target import Options
from netadapt.options import TARGET
from netadapt.profiling.request import ProfileRequest

if TYPE_CHECKING:
    from torch import nn

    from netadapt.latency.target import Target
    from netadapt.profiling.loading import Footprint
    from netadapt.profiling.measurement import LatencyStats
    from netadapt.pruning.examples import Example

ALL = "all"
MAX_RUNS = 100_000


@with_options(
    ProfileRequest, Options, without=("lut", "channel_multiple", "lock", "allow_approximate")
)
def benchmark(
    checkpoint: Annotated[
        str,
        typer.Argument(
            metavar="CHECKPOINT", help="A checkpoint, a registry name or package.module:factory."
        ),
    ],
    runs: Annotated[
        int,
        typer.Option(
            min=5, max=MAX_RUNS, metavar="RUNS", help="Timed runs.", rich_help_panel=TARGET
        ),
    ] = 100,
    as_json: Annotated[bool, Json] = False,
    serve: Annotated[bool, typer.Option("--serve", hidden=True)] = False,
    **given: Any,
) -> None:
    """Measure a network on a device: latency, load time and memory, in one runtime or in all.

    With --runtime all it is measured in every runtime that is installed.
    """
    from netadapt.cli import comparison
    from netadapt.cli.models import load_with_input, say_if_fresh
    from netadapt.models.inputs import named_batch
    from netadapt.profiling.devices import load_device
    from netadapt.profiling.runtimes import load_runtime
    from netadapt.profiling.runtimes.loaders import as_exported

    input_size, inputs = given.pop("input_size", None), given.pop("inputs", ())
    output = given.pop("output", None)
    if inputs and "batch" not in given:
        given["batch"] = named_batch(inputs)
    request = ProfileRequest(**{name: given.pop(name) for name in ("device", "runtime")
                                if name in given})  # fmt: skip
    device, runtime, options = request.device, request.runtime, Options.parse(**given)
    asked = comparison.BenchmarkRequest(checkpoint, device, options, input_size, inputs, output)
    if serve:
        comparison.serve_runtime(asked, runtime)
    elif runtime == ALL:
        comparison.compare_runtimes(asked, runs, as_json)
    else:
        target = load_device(device).target(load_runtime(runtime), options)
        model, example = load_with_input(
            checkpoint, input_size, options.batch, inputs, output, deployed=True
        )
        target = as_exported(model, target)
        stats, footprint = _measured(model, example, target, runs)
        say_if_fresh(checkpoint)
        if as_json:
            print_json({**comparison.figures(stats, footprint), "target": target.model_dump()})
        else:
            _show(stats, footprint, target)


def _measured(
    model: "nn.Module", example: "Example", target: "Target", runs: int
) -> "tuple[LatencyStats, Footprint | None]":
    from netadapt.profiling.devices import load_device
    from netadapt.profiling.devices.local import LocalDevice
    from netadapt.profiling.loading import measure_loaded
    from netadapt.profiling.measurement import measure

    if isinstance(load_device(target.device), LocalDevice):
        return measure_loaded(model, example, target, runs=runs)
    return measure(model, example, target, runs=runs), None


def _show(stats: "LatencyStats", footprint: "Footprint | None", target: "Target") -> None:
    print(f"p10 {stats.p10_ms:.3f} ms   p50 {stats.p50_ms:.3f} ms   p90 {stats.p90_ms:.3f} ms")
    if footprint:
        memory = footprint.peak_mb
        print(
            f"export {footprint.export_s:.2f} s   load {footprint.load_s:.2f} s   "
            f"first run {footprint.first_run_ms:.2f} ms   "
            f"peak memory {'unknown' if memory is None else f'{memory:.1f} MB'}"
        )
    if stats.energy_mj is not None:
        print(f"energy {stats.energy_mj:.2f} mJ a run")
    print(f"{stats.runs} runs on {target.slug}")
