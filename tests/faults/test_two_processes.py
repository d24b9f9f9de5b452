"""Two commands that write into one folder at one instant."""

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from quick_profile import BRIEFEST, Stages, target
from tiny_network import tiny

from netadapt.errors import UserError
from netadapt.files import locked_folder, provisional_folder
from netadapt.latency.table import LatencyTable
from netadapt.profiling.profiler import profile
from netadapt.pruning import trace


def begin(path: Path):
    return provisional_folder(path, "run folder", lambda: False)


def test_the_second_to_begin_a_folder_is_refused_and_takes_nothing_away(tmp_path):
    out = tmp_path / "deep" / "run"
    with begin(out):
        (out / "run.json").write_text("of the first")
        with pytest.raises(UserError, match="exists and is not empty"), begin(out):
            pass
        assert (out / "run.json").read_text() == "of the first"


def test_so_is_one_that_begins_before_the_first_has_written_anything(tmp_path):
    out = tmp_path / "run"
    with begin(out):
        with pytest.raises(UserError, match="in use by another netadapt"), begin(out):
            pass
        assert out.is_dir()


def test_of_many_that_begin_together_one_does(tmp_path):
    out, together, outcomes = tmp_path / "run", threading.Barrier(8), []

    def one(number: int) -> None:
        together.wait()
        try:
            with begin(out):
                (out / "mine").write_text(str(number))
                together.wait()  # all have tried by then
            outcomes.append(number)
        except UserError:
            together.wait()

    threads = [threading.Thread(target=one, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    (winner,) = outcomes
    assert (out / "mine").read_text() == str(winner)


def test_what_a_killed_process_held_is_free(tmp_path):
    code = """
import sys
from pathlib import Path
from netadapt.files import locked_folder
with locked_folder(Path(sys.argv[1]), "in use"):
    print("held", flush=True)
    sys.stdin.read()
"""
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ,
    )  # fmt: skip
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    with pytest.raises(UserError, match="in use"), locked_folder(tmp_path, "in use"):
        pass
    process.kill()
    process.communicate()
    with locked_folder(tmp_path, "in use"):
        pass


class TestATable:
    def test_is_filled_by_one_profile_at_a_time(self, tmp_path):
        table = LatencyTable.open(tmp_path, target("torch"))
        other = LatencyTable.open(tmp_path, target("torch"))
        with table.locked(), pytest.raises(UserError, match="is being filled by another process"):
            profile(trace(*tiny()), other, Stages(), BRIEFEST)
        assert list(tmp_path.iterdir()) == []

    def test_is_not_measured_again_by_one_that_was_opened_before(self, tmp_path):
        network = trace(*tiny())
        first, second = (LatencyTable.open(tmp_path, target("torch")) for _ in range(2))
        profile(network, first, Stages(), BRIEFEST)
        rows = (first.folder / "latency.csv").read_bytes()
        report = profile(network, second, Stages(), BRIEFEST)
        assert report.added == 0
        assert (first.folder / "latency.csv").read_bytes() == rows

    def test_that_stays_empty_leaves_no_folder(self, tmp_path):
        with LatencyTable.open(tmp_path / "lut", target("torch")).locked():
            pass
        assert list(tmp_path.iterdir()) == []


def test_a_path_that_goes_back_from_nowhere_makes_nothing(tmp_path):
    with pytest.raises(UserError, match="does not exist"), begin(tmp_path / "a" / ".." / "b"):
        pass
    assert list(tmp_path.iterdir()) == []
