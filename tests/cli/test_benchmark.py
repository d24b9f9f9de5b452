"""``netadapt benchmark``: one runtime, or all of them in processes of their own."""

from pathlib import Path

import pytest

from netadapt.profiling import comparison, runtimes
from netadapt.profiling.comparison import RuntimeBenchmark
from netadapt.profiling.loading import Footprint
from netadapt.profiling.measurement import LatencyStats

FIGURES = ("p10_ms", "p50_ms", "p90_ms", "export_s", "load_s", "first_run_ms")


def test_one_runtime_comes_with_what_loading_it_took(netadapt):
    result = netadapt("benchmark @small.safetensors --runtime torch --runs 5")
    assert (result.code, result.err) == (0, "")
    latency, loading, target = result.out.splitlines()
    assert latency.startswith("p10 ")
    for word in ("export", "load", "first run", "peak memory"):
        assert f"{word} " in loading
    assert target.startswith("5 runs on ")
    facts = netadapt("benchmark @small.safetensors --runtime torch --runs 5 --json").json
    assert all(facts[name] > 0 for name in FIGURES)


def test_all_runtimes_are_tried_each_in_a_process_of_its_own(netadapt, monkeypatch):
    # the processes, too, must find the user's own module
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parent))
    known = {"abacus": "nobody's", "torch": runtimes.RUNTIMES["torch"]}
    monkeypatch.setattr(runtimes, "RUNTIMES", known)
    result = netadapt("benchmark cli_networks:Small --input-size 32x32 --runtime all --runs 15")
    assert result.code == 0
    heading, torch, abacus = (line.split() for line in result.out.splitlines())
    assert heading[:4] == ["runtime", "version", "p10", "ms"]
    assert torch[0] == "torch"
    assert torch[5] == "15"
    assert all(float(figure) >= 0 for figure in torch[2:])
    assert " ".join(abacus).startswith("abacus unknown runtime 'abacus'")
    for told in ("runtimes loaded 2/2", "rounds 3/3", "cli_networks:Small: fresh weights"):
        assert told in result.err


@pytest.fixture
def compared(monkeypatch):
    """What a comparison finds, without the time it takes."""
    stats = LatencyStats(4.9, 5.0, 5.25, 100)
    rows = [
        RuntimeBenchmark("torch", "", True, "2.6", stats, 1.25, Footprint(0, 0.5, 9, None)),
        RuntimeBenchmark("tvm", "run: pip install 'netadapt[tvm]'", False),
        RuntimeBenchmark("openvino", "its process was ended by signal 11"),
    ]
    monkeypatch.setattr(comparison, "compare", lambda *_: rows)
    return rows


def test_a_comparison_is_a_line_a_runtime(netadapt, compared):
    result = netadapt("benchmark @tiny.safetensors --runtime all")
    lines = [line.split() for line in result.out.splitlines()]
    assert lines[1] == ["torch", "2.6", "4.9", "5.0", "5.25", "100", "0", "0.5", "9", "1.2"]
    assert lines[2][:4] == ["tvm", "run:", "pip", "install"]
    assert "peak MB" not in result.out
    assert "peak MB: growth of the process's resident memory" in result.err


def test_a_comparison_as_json(netadapt, compared):
    facts = netadapt("benchmark @tiny.safetensors --runtime all --json --threads 1").json
    torch, tvm, openvino = facts["runtimes"]
    assert torch["p50_ms"] == 5.0
    assert torch["peak_mb"] is None
    assert [row["installed"] for row in (torch, tvm, openvino)] == [True, False, True]
    assert tvm["note"] == "run: pip install 'netadapt[tvm]'"
    assert openvino["p50_ms"] is None
    assert facts["machine"]["threads"] == 1
    assert "runtime" not in facts["machine"]


def test_where_no_runtime_runs_the_network_the_reasons_are_the_error(netadapt, compared):
    del compared[0]
    line = netadapt.refused("benchmark @tiny.safetensors --runtime all")
    assert "no runtime ran" in line
    assert "openvino: its process was ended by signal 11" in line


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("missing.safetensors", "missing.safetensors"),
        ("@torn.safetensors", "torn.safetensors"),
        ("@small.safetensors --threads 4000", "cannot use 4000 threads"),
        ("@small.safetensors --precision fp16", "fp16"),
        ("@small.safetensors --device tpu", "tpu"),
        ("cli_networks:Small", "give one with --input-size"),
    ],
)
def test_what_no_runtime_could_do_is_refused_before_any_is_started(netadapt, words, reason):
    assert reason in netadapt.refused_at_once("benchmark --runtime all", words)
