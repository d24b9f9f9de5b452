"""``netadapt benchmark --runtime all``: a process a runtime."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TextIO

from netadapt.cli.common import print_json, say
from netadapt.cli.facts import rounded, show_table
from netadapt.errors import UserError
from netadapt.options import foreign

if TYPE_CHECKING:
    from netadapt.latency.target import Options
    from netadapt.profiling.comparison import RuntimeBenchmark
    from netadapt.profiling.loading import Footprint
    from netadapt.profiling.measurement import LatencyStats

LEGEND = (
    "export: to the form a runtime loads; load: until it is ready to run; peak MB: growth of the "
    "process's resident memory from then to the last run, without the runtime's library; "
    "spread: between the medians of the first, middle and last third of the rounds"
)


@dataclass(frozen=True)
class BenchmarkRequest:
    """What a user wants benchmarked."""

    checkpoint: str
    device: str
    options: "Options"
    input_size: tuple[int, int] | None
    inputs: tuple[str, ...] = ()
    output: str | None = None

    def options_of(self, runtime: str) -> "Options":
        """The options that ``runtime`` knows."""
        others = foreign(type(self.options), "runtime", runtime)
        return self.options.model_copy(update={option.name: option.default for option in others})

    def command(self, runtime: str) -> list[str]:
        """The command that serves ``runtime``."""
        words = [sys.executable, "-P", "-m", "netadapt", "benchmark", self.checkpoint, "--serve"]
        words += ["--runtime", runtime, "--device", self.device]
        if self.input_size is not None:
            words += ["--input-size", "x".join(map(str, self.input_size))]
        for one in self.inputs:
            words += ["--input", one]
        if self.output is not None:
            words += ["--output", self.output]
        for name, value in self.options_of(runtime).model_dump().items():
            words += [f"--{name}", str(value)]
        return words


def compare_runtimes(request: BenchmarkRequest, runs: int, as_json: bool) -> None:
    """Benchmark every runtime there is, and print a table."""
    from netadapt.cli.models import load_with_input, say_if_fresh
    from netadapt.cli.views import stage_progress
    from netadapt.profiling.comparison import compare
    from netadapt.profiling.devices import load_device
    from netadapt.profiling.devices.local import LocalDevice
    from netadapt.profiling.runtimes import BUNDLE_ONLY, RUNTIMES, load_runtime

    here = load_device(request.device)
    if not isinstance(here, LocalDevice):
        raise UserError(
            f"--runtime all is for this machine, not {request.device}; name one runtime"
        )
    # what would fail in every process fails before any is started
    target = here.target(load_runtime("torch"), request.options_of("torch"))
    load_with_input(
        request.checkpoint,
        request.input_size,
        request.options.batch,
        request.inputs,
        request.output,
        deployed=True,
    )
    commands = {name: request.command(name) for name in RUNTIMES if name not in BUNDLE_ONLY}
    with stage_progress() as progress:
        found = compare(commands, runs, progress, here.energy())
    if not any(one.stats for one in found):
        reasons = "; ".join(f"{one.runtime}: {one.reason}" for one in found)
        raise UserError(f"no runtime ran {request.checkpoint}: {reasons}")
    say_if_fresh(request.checkpoint)
    of_one_runtime = {option.name for option in foreign(type(request.options), "runtime", "")}
    machine = target.model_dump(
        exclude={"runtime", "runtime_version", "calibration", "protocol", *of_one_runtime}
    )
    rows = [_row(one) for one in found]
    if as_json:
        print_json({"checkpoint": request.checkpoint, "runtimes": rows, "machine": machine})
        return
    show_table(rounded([_without_flag(row) for row in rows]))
    say(
        f"{target.hardware}, {target.device}, {target.threads} thread(s), {target.precision}, "
        f"batch {target.batch}; all runtimes timed in interleaved rounds"
    )
    say(LEGEND)


def figures(stats: "LatencyStats | None", footprint: "Footprint | None") -> dict[str, Any]:
    """What the clock and loading gave; ``None`` where nothing is known."""
    of_stats = ("p10_ms", "p50_ms", "p90_ms", "runs", "energy_mj")
    of_loading = ("export_s", "load_s", "first_run_ms", "peak_mb")
    known = {name: getattr(stats, name, None) for name in of_stats}
    return known | {name: getattr(footprint, name, None) for name in of_loading}


def _row(one: "RuntimeBenchmark") -> dict[str, Any]:
    return {
        "runtime": one.runtime,
        "version": one.version,
        **figures(one.stats, one.footprint),
        "spread_percent": one.spread_percent,
        "installed": one.installed,
        "note": one.reason,
    }


def _without_flag(row: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "installed"}


def serve_runtime(request: BenchmarkRequest, runtime: str) -> None:
    """Be the process of one runtime: load the network, and run it when told to on stdin."""
    from netadapt.cli.models import load_with_input
    from netadapt.profiling.devices import load_device
    from netadapt.profiling.loading import loaded
    from netadapt.profiling.runtimes import load_runtime
    from netadapt.profiling.server import refuse, serve

    with _only_answers() as answers:
        try:
            found = load_runtime(runtime)
        except UserError as error:
            refuse(str(error), answers)
            return
        target = load_device(request.device).target(found, request.options)
        model, example = load_with_input(
            request.checkpoint,
            request.input_size,
            request.options.batch,
            request.inputs,
            request.output,
            deployed=True,
        )
        with loaded(model, example, target) as network:
            serve(network, target.runtime_version, sys.stdin, answers)


@contextmanager
def _only_answers() -> Iterator[TextIO]:
    """Yield what stdout was; what runtimes print of their own accord goes to stderr."""
    sys.stdout.flush()
    with os.fdopen(os.dup(sys.stdout.fileno()), "w") as answers:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        yield answers
