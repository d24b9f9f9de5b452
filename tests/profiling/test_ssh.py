import json
import shutil
import stat
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from board import Board, started
from lacking import needs_int8_instructions
from quick_profile import BRIEF, Stages, wanted

from netadapt.deployment.api import export
from netadapt.errors import UserError
from netadapt.latency.predictor import LatencyPredictor
from netadapt.latency.table import LatencyTable
from netadapt.latency.target import Options, Target
from netadapt.latency.validation import load_validation
from netadapt.profiling.devices import load_device, ssh
from netadapt.profiling.devices.connection import Connection
from netadapt.profiling.devices.ssh import SshBoard, SshDevice
from netadapt.profiling.measurement import measure, measure_all, why_not_attached
from netadapt.profiling.profiler import profile
from netadapt.profiling.runtimes import load_runtime
from netadapt.profiling.shared_weights import Graphs
from netadapt.pruning import PrunableModel
from netadapt.training import load_model

CUTTING = """\
#!{python}
import os, signal, subprocess, sys

def session():
    pid = os.getppid()
    while True:
        status = open(f"/proc/{{pid}}/stat").read()
        if status[status.index("(") + 1 :].startswith("sshd"):
            return pid
        pid = int(status[status.rindex(")") + 2 :].split()[1])

agent = subprocess.Popen([sys.executable, *sys.argv[1:]], stdout=subprocess.PIPE)
words = {words!r}
seen = dict.fromkeys(words, 0)
for line in agent.stdout:
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()
    for word in words:
        seen[word] += b'"%s"' % word.encode() in line
        mark = os.path.join("{cuts}", word)
        if seen[word] == 3 and ({always} or not os.path.exists(mark)):
            open(mark, "w").close()
            os.kill(session(), signal.SIGKILL)
            sys.exit(1)
sys.exit(agent.wait())
"""


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Board]:
    with started(tmp_path_factory.mktemp("board")) as board:
        yield board


@pytest.fixture
def board(machine: Board, monkeypatch: pytest.MonkeyPatch) -> Iterator[Board]:
    """The machine, reachable with the keys it knows, and no jobs on it."""
    monkeypatch.setenv("NETADAPT_SSH_CONFIG", str(machine.config))
    monkeypatch.setattr(SshDevice, "pauses", (0.0, 0.0))
    yield machine
    for folder in machine.jobs():
        shutil.rmtree(folder)


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave the jobs' folders on the board, to be looked at."""
    monkeypatch.setattr(SshBoard, "remove", lambda self: None)


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch, graphs: Graphs) -> None:
    """Spare the export of the tiny network."""
    monkeypatch.setattr(ssh, "Graphs", lambda *_, **__: graphs)


@pytest.fixture
def cutting(board: Board, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Give the board a Python that kills its own sshd session.

    It does so at the third line with each of some words, the first time or ``always``.
    """

    def prepare(*words: str, always: bool = False) -> Path:
        cuts = tmp_path / "cuts"
        cuts.mkdir()
        python = tmp_path / "python"
        python.write_text(
            CUTTING.format(python=sys.executable, words=words, cuts=cuts, always=always)
        )
        python.chmod(python.stat().st_mode | stat.S_IXUSR)
        monkeypatch.setenv("NETADAPT_SSH_PYTHON", str(python))
        return cuts

    return prepare


def target(board: Board) -> Target:
    return load_device(board.url).target(load_runtime("onnxruntime"))


def all_units(board: Board) -> list[tuple]:
    """What the board's journals say was measured."""
    return [
        (folder.name, record["stage"], record.get("graph", record.get("round")))
        for folder in board.jobs()
        for record in map(json.loads, (folder / "results.jsonl").read_text().splitlines())
    ]


def test_a_profile_over_ssh_is_a_profile(
    board: Board, small: PrunableModel, tmp_path: Path
) -> None:
    here = load_device("cpu").target(load_runtime("onnxruntime"))
    there = target(board)
    assert here.difference(there) == f"device {board.url} instead of cpu"
    host, _, port = board.url.rpartition("@")[2].partition(":")
    assert there.slug.replace(f"-{host}-{port}", "") == here.slug

    stages = Stages()
    table = LatencyTable.open(tmp_path, there)
    report = profile(small, table, stages, BRIEF)
    assert stages.steps == stages.totals
    assert set(LatencyTable.load(table.folder).rows) == wanted(small, "onnxruntime")
    assert report.added == len(table.rows)
    assert (load_validation(table.folder)["measured_ms"] > 0).all()
    assert LatencyPredictor(small, table)({}) > 0
    assert board.jobs() == []  # nothing but the agent is left there

    again = profile(small, table, Stages(), BRIEF)
    assert again.added == 0


def test_a_connection_killed_mid_profile_loses_nothing(
    board: Board,
    small: PrunableModel,
    tmp_path: Path,
    kept: None,
    exported: None,
    cutting,
    caplog: pytest.LogCaptureFixture,
) -> None:
    cuts = cutting("graph", "loaded", "round")
    stages = Stages()
    table = LatencyTable.open(tmp_path / "lut", target(board))
    profile(small, table, stages, BRIEF)
    assert len(list(cuts.iterdir())) == caplog.text.count("lost the connection to") == 3
    assert stages.steps == stages.totals
    assert set(table.rows) == wanted(small, "onnxruntime")
    measured = all_units(board)
    assert len(measured) == len(set(measured))


def test_a_killed_netadapt_goes_on_with_what_the_board_has_done(
    board: Board, small: PrunableModel, tmp_path: Path, kept: None, exported: None
) -> None:
    table = LatencyTable.open(tmp_path, target(board))
    with pytest.raises(KeyboardInterrupt):
        profile(small, table, Stages(interrupt_after=BRIEF.chunk + 1), BRIEF)
    first = all_units(board)
    assert first
    fresh = LatencyTable.load(table.folder)
    assert 0 < len(fresh.rows) < len(wanted(small, "onnxruntime"))
    profile(small, fresh, Stages(), BRIEF)
    assert set(fresh.rows) == wanted(small, "onnxruntime")
    measured = all_units(board)
    assert set(first) <= set(measured)
    assert len(measured) == len(set(measured))


def test_a_connection_lost_for_good_says_how_to_go_on(
    board: Board, small: PrunableModel, tmp_path: Path, exported: None, cutting
) -> None:
    cutting("graph", always=True)
    table = LatencyTable.open(tmp_path / "lut", target(board))
    with pytest.raises(UserError, match=r"lost the connection to .*: run the same command again"):
        profile(small, table, Stages(), BRIEF)


def test_int8_networks_and_exported_files_are_measured_over_ssh(
    board: Board, small: PrunableModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What travels is the quantised graph, or the file as it is."""
    needs_int8_instructions()
    sent: list[dict[str, bytes]] = []
    run = SshBoard.run

    def watched(self: SshBoard, files: dict[str, bytes]) -> Iterator[Mapping[str, Any]]:
        sent.append({name: data for name, data in files.items() if name.endswith(".onnx")})
        yield from run(self, files)

    monkeypatch.setattr(SshBoard, "run", watched)
    there = load_device(board.url).target(load_runtime("onnxruntime"), Options(precision="int8"))
    frames = small.example_input.expand(2, -1, -1, -1)
    made = export(
        small.model, small.example_input, tmp_path / "a.onnx", precision="int8", calibration=frames
    )
    models = [small.model, load_model(made.path, deployed=True)]
    for stats in measure_all(models, small.example_input, there, runs=5):
        assert stats.p50_ms > 0
    quantised, file = sent[0].values()
    assert quantised.count(b"QuantizeLinear") > 10
    assert file == made.path.read_bytes()


def test_networks_are_measured_over_ssh_with_their_own_weights(
    board: Board, small: PrunableModel
) -> None:
    there = target(board)
    assert why_not_attached(there) is None
    assert why_not_attached(there.model_copy(update={"hardware": "abacus"})) is not None
    stats = measure(small.model, small.example_input, there, runs=10)
    assert 0 < stats.p10_ms <= stats.p50_ms <= stats.p90_ms
    assert stats.runs == 10
    narrow = small.pruned(dict.fromkeys(small.groups, 8))
    both = measure_all([small.model, narrow], small.example_input, there, runs=5, traced=small)
    assert len(both) == 2
    assert board.jobs() == []


def test_a_host_with_another_key_is_refused(board: Board, tmp_path: Path, monkeypatch) -> None:
    other = tmp_path / "known_hosts"
    name, kind, key = board.known_hosts.read_text().split()[:3]
    wrong = key[:-4] + ("AAAA" if not key.endswith("AAAA") else "BBBB")
    config = tmp_path / "config"
    config.write_text(board.config.read_text().replace(str(board.known_hosts), str(other)))
    monkeypatch.setenv("NETADAPT_SSH_CONFIG", str(config))
    for known in (f"{name} {kind} {wrong}\n", ""):
        other.write_text(known)
        with pytest.raises(UserError, match=r"Host key verification failed.*connect once with ssh"):
            target(board)
        assert other.read_text() == known


@pytest.mark.parametrize(
    "url",
    [
        "ssh://",
        "ssh://pi",
        "ssh://@board",
        "ssh://-oProxyCommand=x@board",
        "ssh://pi@-oProxyCommand=touch",
        "ssh://pi@board;reboot",
        "ssh://pi@bo ard",
        "ssh://pi@board:0",
        "ssh://pi@board:65536",
        "ssh://pi@board:22:22",
        "ssh://pi@board/folder",
        "ssh://pi@board\n",
        "ssh://pi:secret@board",
        "ssh:pi@board",
    ],
)
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(UserError, match=r"is not ssh://user@host\[:port\]"):
        load_device(url)


def test_an_address_reaches_ssh_in_words_of_its_own(monkeypatch, board: Board) -> None:
    device = SshDevice("ssh://me@[fe80::1]:2222")
    command = Connection(device._address)._command
    assert command[-6:] == ["-p", "2222", "-l", "me", "--", "fe80::1"]
    assert "StrictHostKeyChecking=yes" in command
    with pytest.raises(ValueError, match="is not a plain word"):
        Connection(device._address).words(["python3", "$(reboot)"])


@pytest.mark.parametrize("python", ["-c", "python3 -c x", "$(reboot)", "py;x", "~/python"])
def test_a_python_that_is_no_path_is_refused(board: Board, monkeypatch, python: str) -> None:
    monkeypatch.setenv("NETADAPT_SSH_PYTHON", python)
    with pytest.raises(UserError, match="is not a plain path"):
        target(board)


def test_a_board_without_python_is_told_so(board: Board, monkeypatch) -> None:
    monkeypatch.setenv("NETADAPT_SSH_PYTHON", "/nowhere/python3")
    with pytest.raises(UserError, match=r"has no /nowhere/python3; name its Python with"):
        target(board)


def test_a_port_where_nobody_listens_is_told(board: Board) -> None:
    with pytest.raises(UserError, match=r"cannot reach nobody@127.0.0.1 port 1: .*refused"):
        load_device("ssh://nobody@127.0.0.1:1").target(load_runtime("onnxruntime"))


def test_what_the_board_cannot_do_is_refused(board: Board) -> None:
    device = load_device(board.url)
    with pytest.raises(UserError, match=r"runtime torch is not for another machine.*onnxruntime"):
        device.target(load_runtime("torch"))
    with pytest.raises(UserError, match="cannot use 4096 threads"):
        device.target(load_runtime("onnxruntime"), Options(threads=4096))
    with pytest.raises(UserError, match="--precision fp16 is not for onnxruntime on a CPU"):
        device.target(load_runtime("onnxruntime"), Options(precision="fp16"))
