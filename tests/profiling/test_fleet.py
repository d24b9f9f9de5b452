import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from board import Board, started
from fleet_case import fatal, traced
from hypothesis import given
from hypothesis import strategies as st
from quick_profile import BRIEFEST

from netadapt.errors import UserError
from netadapt.latency.table import LatencyTable
from netadapt.profiling.fleet import FleetDevice, Outcome, profile_fleet, read_fleet


class Told:
    """All that a fleet said."""

    def __init__(self) -> None:
        self.stages: list[tuple[str, str]] = []
        self.steps: dict[str, int] = {}
        self.outcomes: dict[str, Outcome] = {}

    def started(self, device: str, stage: str, total: int) -> None:
        self.stages.append((device, stage))

    def advanced(self, device: str) -> None:
        self.steps[device] = self.steps.get(device, 0) + 1

    def finished(self, device: str, outcome: Outcome) -> None:
        self.outcomes[device] = outcome


@pytest.fixture
def board(tmp_path_factory, monkeypatch) -> Iterator[Board]:
    with started(tmp_path_factory.mktemp("board")) as machine:
        monkeypatch.setenv("NETADAPT_SSH_CONFIG", str(machine.config))
        yield machine
        for folder in machine.jobs():
            shutil.rmtree(folder)


def test_a_fleet_is_profiled_each_device_into_its_own_table(board: Board, tmp_path: Path) -> None:
    fleet = {
        "far": FleetDevice(device=board.url),
        "here": FleetDevice(device="cpu", runtime="torch"),
        "batched": FleetDevice(device="cpu", runtime="torch", batch=2),
    }
    told = Told()
    outcomes = profile_fleet(fleet, traced, tmp_path, told, **vars(BRIEFEST))
    assert list(outcomes) == list(fleet)
    assert outcomes == told.outcomes
    folders = [outcomes[name].folder for name in ("far", "here", "batched")]
    assert len(set(folders)) == 3
    for name in ("far", "here", "batched"):
        outcome = outcomes[name]
        assert outcome.failure is None
        assert outcome.report is not None
        assert outcome.folder is not None
        table = LatencyTable.load(outcome.folder)
        assert table.target.device == fleet[name].device
        assert len(table.rows) == outcome.report.added > 0
        assert told.steps[name] > 0
    stages = [device for device, _ in told.stages if device in ("here", "batched")]
    assert stages == sorted(stages, reverse=True)  # one machine, one after the other


def test_a_process_that_dies_is_a_device_that_dropped_out(tmp_path: Path) -> None:
    outcomes = profile_fleet({"here": FleetDevice(device="cpu")}, fatal, tmp_path, Told())
    assert outcomes["here"].failure == "its process was ended by signal SIGKILL"


def test_a_file_names_the_devices_and_what_to_measure(tmp_path: Path) -> None:
    path = tmp_path / "devices.toml"
    path.write_text(
        '[pi]\ndevice = "ssh://me@10.0.0.7:2222"\nthreads = 4\ncpus = "0-3"\n'
        '["the desk"]\ndevice = "cpu"\nruntime = "openvino"\n'
    )
    fleet = read_fleet(path)
    assert list(fleet) == ["pi", "the desk"]
    assert (fleet["pi"].host, fleet["the desk"].host) == ("10.0.0.7", "")
    assert fleet["pi"].options.threads == 4
    assert fleet["the desk"].runtime == "openvino"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "names no device"),
        ("[pi", "is not TOML"),
        ("\xff", "it is not text in UTF-8"),
        ("[pi]\n", "device pi: device is missing"),
        ('[pi]\ndevice = "cpu"\nthreads = 0', "device pi: threads is 0; give 1 or more"),
        ('[pi]\ndevice = "cpu"\ncolour = 1', "device pi: colour is not known"),
        ('pi = "cpu"', "device pi is 'cpu'; give a table"),
    ],
)
def test_a_wrong_file_is_refused_in_one_line(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "devices.toml"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError) as caught:
        read_fleet(path)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_list_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"devices\.toml"):
        read_fleet(tmp_path / "devices.toml")


@given(st.text(max_size=60))
def test_text_that_is_no_fleet_is_refused_with_its_name(tmp_path_factory, text: str) -> None:
    path = tmp_path_factory.mktemp("any") / "devices.toml"
    path.write_text(text, encoding="utf-8", errors="replace")
    with pytest.raises(UserError) as caught:  # or it would have to be a fleet by chance
        read_fleet(path)
    assert str(caught.value).startswith(str(path))
