"""Servers here are small programs that answer as a runtime's process does."""

import io
import json
import sys
from collections.abc import Sequence

import pytest
import torch
from lacking import lacking
from tiny_network import tiny

from netadapt.errors import UserError
from netadapt.latency.target import Target
from netadapt.profiling.agent.timing import Sentinel
from netadapt.profiling.comparison import RuntimeBenchmark, compare
from netadapt.profiling.devices import load_device
from netadapt.profiling.loading import loaded, measure_loaded
from netadapt.profiling.memory import PeakMemory
from netadapt.profiling.runtimes import load_runtime
from netadapt.profiling.server import Server, ServerError, refuse, serve

FOOTPRINT = {"export_s": 1.5, "load_s": 0.5, "first_run_ms": 9.0, "peak_mb": 64.0}
SERVING = """
import json, sys
print(json.dumps({{"version": "1.2"}}), flush=True)
for count, _ in enumerate(sys.stdin):
    {each}
    print({seconds}, flush=True)
print(json.dumps({footprint}), flush=True)
"""


class Steps:
    """Keeps what a comparison reports."""

    def __init__(self) -> None:
        self.stages: list[tuple[str, int]] = []
        self.done = 0

    def started(self, stage: str, total: int) -> None:
        self.stages.append((stage, total))

    def advanced(self) -> None:
        self.done += 1


def program(code: str) -> list[str]:
    return [sys.executable, "-S", "-c", code]


def serving(seconds: str = "0.002", each: str = "pass") -> list[str]:
    return program(SERVING.format(seconds=seconds, each=each, footprint=FOOTPRINT))


def compared(runs: int = 30, **commands: Sequence[str]) -> dict[str, RuntimeBenchmark]:
    return {one.runtime: one for one in compare(commands, runs, Steps())}


def test_the_fastest_comes_first_and_keeps_its_own_figures() -> None:
    found = compared(slow=serving("0.004"), fast=serving("0.002"), varied=serving("0.003"))
    assert list(found) == ["fast", "varied", "slow"]
    for name, milliseconds in {"fast": 2.0, "varied": 3.0, "slow": 4.0}.items():
        row = found[name]
        assert row.stats is not None
        assert (row.stats.p10_ms, row.stats.p90_ms) == pytest.approx((milliseconds,) * 2)
        assert row.stats.runs == 30
        assert (row.version, row.reason, row.spread_percent) == ("1.2", "", 0)
        assert vars(row.footprint) == FOOTPRINT


def test_the_spread_tells_of_a_machine_that_became_slower(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # no round is repeated, however busy this machine is: the servers count their runs
    monkeypatch.setattr(Sentinel, "slowed", lambda _: False)
    # three runs to warm up, then six rounds of one and five: the last two take twice as long
    found = compared(drifting=serving("0.004 if count >= 3 + 4 * 6 else 0.002"))
    assert found["drifting"].spread_percent == pytest.approx(100)
    assert compared(runs=10, short=serving())["short"].spread_percent is None


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import sys; print('error: cannot run cumsum', file=sys.stderr); sys.exit(2)",
         "cannot run cumsum"),
        ("raise RuntimeError('broken wheel')", "RuntimeError: broken wheel"),
        ("import os; os.kill(os.getpid(), 11)", "its process was ended by signal 11"),
        ("import sys; sys.exit(3)", "its process ended with code 3"),
    ],
    ids=["refused", "raised", "crashed", "silent"],
)  # fmt: skip
def test_a_runtime_that_cannot_load_gets_its_reason(code: str, reason: str) -> None:
    found = compared(broken=program(code), sound=serving())
    assert list(found) == ["sound", "broken"]
    assert found["broken"] == RuntimeBenchmark("broken", reason)
    assert found["sound"].stats is not None


def test_a_runtime_that_is_not_installed_is_told_from_one_that_fails() -> None:
    answers = io.StringIO()
    refuse("run: pip install 'netadapt[tvm]'", answers)
    found = compared(tvm=program(f"print({answers.getvalue()!r})"))
    assert found["tvm"] == RuntimeBenchmark("tvm", "run: pip install 'netadapt[tvm]'", False)


@pytest.mark.parametrize("end", ["sys.exit('out of memory')", "import os; os.kill(os.getpid(), 9)"])
def test_a_runtime_that_dies_while_it_is_timed_does_not_stop_the_others(end: str) -> None:
    steps = Steps()
    commands = {"mortal": serving(each=f"if count == 7: {end}"), "sound": serving()}
    sound, mortal = compare(commands, 30, steps)
    assert sound.stats is not None
    assert sound.stats.runs == 30
    assert mortal.stats is None
    assert mortal.reason in ("out of memory", "its process was ended by signal 9")
    assert steps.stages == [("runtimes loaded", 2), ("rounds", 6), ("rounds", 6)]


def test_closing_a_server_ends_its_process_whatever_it_does() -> None:
    server = Server("stuck", program("import time; time.sleep(600)"))
    process = server._process
    server.close()
    assert process.poll() is not None
    with pytest.raises(ValueError, match="closed"):
        server.timed()


def test_a_server_that_ended_says_so_at_the_next_run() -> None:
    server = Server("brief", program("import sys; sys.exit('error: gone')"))
    try:
        server._process.wait()
        with pytest.raises(ServerError, match=r"^gone$"):
            server.timed()
    finally:
        server.close()


def here(runtime: str) -> Target:
    return load_device("cpu").target(load_runtime(runtime))


def test_a_served_network_answers_every_order_and_then_with_its_footprint() -> None:
    model, image = tiny()
    answers = io.StringIO()
    with loaded(model, image, here("torch")) as network:
        serve(network, "2.0", io.StringIO("\n" * 4), answers)
    first, *seconds, last = map(json.loads, answers.getvalue().splitlines())
    assert first == {"version": "2.0"}
    assert len(seconds) == 4
    assert all(0 < one < 60 for one in seconds)
    assert last.keys() == FOOTPRINT.keys()


@pytest.mark.parametrize("runtime", ["onnxruntime", "torch"])
def test_a_measurement_comes_with_what_loading_took(runtime: str) -> None:
    model, image = tiny()
    stats, footprint = measure_loaded(model, image, here(runtime), runs=10)
    assert stats.runs == 10
    assert 0 < stats.p10_ms <= stats.p50_ms <= stats.p90_ms
    assert footprint.load_s > 0
    assert footprint.first_run_ms > 0
    assert footprint.peak_mb is None or footprint.peak_mb >= 0
    assert footprint.export_s > 0


def test_another_machine_is_not_measured() -> None:
    model, image = tiny()
    with pytest.raises(UserError, match="not attached"):
        measure_loaded(model, image, here("torch").model_copy(update={"hardware": "a board"}))


def test_the_peak_counts_what_was_taken_even_if_it_was_given_back() -> None:
    memory = PeakMemory()
    if memory.mb() is None:
        lacking("this system does not tell a process's peak memory")
    block = torch.ones(16_000_000)  # 64 MB
    del block
    peak, later = memory.mb(), PeakMemory().mb()
    assert peak is not None
    assert later is not None
    assert peak > 60 > later
