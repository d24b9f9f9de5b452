"""Commands that start processes of their own, on a real terminal."""

import os
from pathlib import Path

import pytest
from test_search_screen import SEARCH, STAGES, flowing

pytestmark = pytest.mark.timeout(600)  # processes take seconds to start, on a busy machine many

HERE = Path(__file__).parent
MODULES = os.pathsep.join([str(HERE.parent / "cli"), os.environ.get("PYTHONPATH", "")])
DEVICES = """
[desk]
device = "cpu"
runtime = "torch"

[lame]
device = "cpu"
runtime = "torch"
threads = 4000
"""


def test_a_search_on_ray_shows_its_stages_and_its_front(terminal, tmp_path):
    """The slowest test of this folder: Ray and a worker start."""
    pytest.importorskip("ray")
    with terminal(f"{SEARCH} --executor ray", environment={"PYTHONPATH": MODULES}) as screen:
        assert screen.end() == 0, screen.text
    shown = flowing(screen, " ")
    for fact in (*STAGES, "budget", "150 ms", "front (", "run/pareto.csv"):
        assert fact in shown
    for fault in ("Traceback", "error", "(pid=", "raylet"):
        assert fault not in shown
    assert (tmp_path / "run/pareto.csv").exists()


def test_a_fleet_is_told_by_device_and_what_drops_out_by_reason(terminal, tmp_path):
    (tmp_path / "devices.toml").write_text(DEVICES)
    words = "profile-lut --model @small.safetensors --devices devices.toml --lut new"
    environment = {"PYTHONPATH": MODULES}
    with terminal(f"{words} --channel-multiple 16", environment=environment) as screen:
        assert screen.end() == 2
    shown = flowing(screen, " ")
    assert "desk: workloads, " in shown
    assert "desk: new/" in shown
    assert "workloads measured now; whole networks: error" in shown
    assert "lame: dropped out: cannot use 4000 threads: this machine has" in shown
    assert "error: 1 of 2 devices dropped out: lame; give the same command again" in shown
    assert "Traceback" not in shown


def test_all_runtimes_are_shown_with_what_each_took(terminal):
    words = "benchmark @small.safetensors --runtime all --runs 15"
    environment = {"PYTHONPATH": MODULES}
    with terminal(words, environment=environment, before="two_runtimes") as screen:
        assert screen.end() == 0, screen.text
    shown = flowing(screen, " ")
    for fact in (
        "runtimes loaded",
        "rounds",
        "torch",
        "p50 ms: ",
        "abacus note: unknown runtime",
        "export: to the form",
    ):
        assert fact in shown
    assert "Traceback" not in shown
