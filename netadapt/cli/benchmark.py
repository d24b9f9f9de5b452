"""``netadapt benchmark``."""

from typing import Annotated

import typer

from netadapt.cli.common import MAX_BATCH, Json, parse_size, print_json


def benchmark(
    checkpoint: Annotated[str, typer.Argument(metavar="CHECKPOINT")],
    device: Annotated[str, typer.Option(help="cpu")] = "cpu",
    runtime: Annotated[str, typer.Option(help="onnxruntime or torch.")] = "onnxruntime",
    threads: Annotated[int, typer.Option(min=1)] = 1,
    batch: Annotated[int, typer.Option(min=1, max=MAX_BATCH)] = 1,
    input_size: Annotated[
        str | None, typer.Option(help="HxW; a checkpoint brings its own.")
    ] = None,
    runs: Annotated[int, typer.Option(min=5, help="Timed runs.")] = 100,
    as_json: Annotated[bool, Json] = False,
) -> None:
    """Measure a network on a device."""
    from netadapt.cli.models import load_with_input, say_if_fresh
    from netadapt.latency.devices import load_device
    from netadapt.latency.measurement import measure
    from netadapt.latency.runtimes import load_runtime

    target = load_device(device).target(load_runtime(runtime), threads, "fp32", batch)
    model, example = load_with_input(checkpoint, parse_size(input_size), batch)
    stats = measure(model, example, target, runs=runs)
    say_if_fresh(checkpoint)
    if as_json:
        print_json({**vars(stats), "target": target.model_dump()})
        return
    print(f"p10 {stats.p10_ms:.3f} ms   p50 {stats.p50_ms:.3f} ms   p90 {stats.p90_ms:.3f} ms")
    print(f"{stats.runs} runs on {target.slug}")
