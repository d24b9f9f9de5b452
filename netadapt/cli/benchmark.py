"""``netadapt benchmark``."""

from typing import TYPE_CHECKING, Annotated

import typer

from netadapt.cli.common import MAX_BATCH, Json, parse_size, print_json

if TYPE_CHECKING:
    from torch import Tensor, nn

    from netadapt.latency.target import Target
    from netadapt.profiling.loading import Footprint
    from netadapt.profiling.measurement import LatencyStats

ALL = "all"


def benchmark(
    checkpoint: Annotated[str, typer.Argument(metavar="CHECKPOINT")],
    device: Annotated[str, typer.Option(help="cpu, cuda[:N] or ssh://user@host[:port].")] = "cpu",
    runtime: Annotated[
        str,
        typer.Option(
            help="onnxruntime, torch, torch-compile, openvino, executorch, tvm; or all of them."
        ),
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
    runs: Annotated[int, typer.Option(min=5, help="Timed runs.")] = 100,
    as_json: Annotated[bool, Json] = False,
    serve: Annotated[bool, typer.Option("--serve", hidden=True)] = False,
) -> None:
    """Measure a network on a device: latency, load time and memory, in one runtime or in all."""
    from netadapt.cli import comparison
    from netadapt.cli.models import load_with_input, say_if_fresh
    from netadapt.latency.target import Options
    from netadapt.profiling.devices import load_device
    from netadapt.profiling.runtimes import load_runtime
    from netadapt.profiling.runtimes.loaders import as_exported

    options = Options.parse(
        threads=threads, precision=precision, batch=batch, cpus=cpus, provider=provider, tune=tune
    )
    asked = comparison.Asked(checkpoint, device, options, parse_size(input_size))
    if serve:
        comparison.serve_runtime(asked, runtime)
    elif runtime == ALL:
        comparison.compare_runtimes(asked, runs, as_json)
    else:
        target = load_device(device).target(load_runtime(runtime), options)
        model, example = load_with_input(checkpoint, asked.input_size, batch)
        target = as_exported(model, target)
        stats, footprint = _measured(model, example, target, runs)
        say_if_fresh(checkpoint)
        if as_json:
            print_json({**comparison.figures(stats, footprint), "target": target.model_dump()})
        else:
            _show(stats, footprint, target)


def _measured(
    model: "nn.Module", example: "Tensor", target: "Target", runs: int
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
