"""What may happen to the folder of a search while it is at work, and to its clock."""

import itertools
import os
import shutil
import subprocess
import sys
import time

import pytest
from faulty import assert_same
from lacking import lacking

import netadapt
from netadapt.errors import UserError
from netadapt.search.progress import SearchProgress

GONE = r"was changed or removed|does not exist|cannot write"


def meanwhile(step, act):
    """A progress that does ``act`` at the first ``step``."""
    first = iter([act])
    progress = SearchProgress()
    setattr(progress, step, lambda *_: next(first, lambda: None)())
    return progress


@pytest.mark.parametrize("step", ["proposed", "scored", "selected", "tuned"])
def test_a_run_whose_folder_is_removed_stops_and_writes_no_half_run(case, tmp_path, step):
    out = tmp_path / "run"
    with pytest.raises(UserError, match=GONE) as caught:
        netadapt.search(**case, out=out, progress=meanwhile(step, lambda: shutil.rmtree(out)))
    assert "\n" not in str(caught.value)
    assert not (out / "journal.jsonl").exists() or not (out / "journal.jsonl").stat().st_size


def test_a_journal_that_someone_else_writes_is_left_as_it_is(case, tmp_path):
    journal = tmp_path / "run" / "journal.jsonl"

    def meddle():
        with journal.open("a") as file:
            file.write("{}\n")

    with pytest.raises(UserError, match=r"journal\.jsonl was changed or removed"):
        netadapt.search(**case, out=tmp_path / "run", progress=meanwhile("scored", meddle))
    assert journal.read_bytes().endswith(b"{}\n")


@pytest.fixture
def without_privileges():
    """What a command is to begin with to be bound by permissions, as root is not."""
    if os.geteuid() != 0:
        return []
    if shutil.which("setpriv") is None:
        lacking("root may write everywhere, and there is no setpriv")
    less = "-dac_override,-dac_read_search"
    return ["setpriv", f"--bounding-set={less}", f"--inh-caps={less}"]


def test_a_read_only_run_is_said_so(undisturbed, tmp_path, without_privileges):
    out = tmp_path / "run"
    shutil.copytree(undisturbed.folder, out)
    (out / "run.lock").unlink()
    out.chmod(0o500)
    command = [sys.executable, "-m", "netadapt", "search"]
    try:
        done = subprocess.run(
            [*without_privileges, *command, "--resume", "--out", out],
            capture_output=True,
            text=True,
        )
    finally:
        out.chmod(0o700)
    assert done.returncode == 2
    assert done.stdout == ""
    assert done.stderr == f"error: cannot write {out / 'run.lock'}: Permission denied\n"


def test_a_clock_that_runs_backwards_changes_nothing(case, undisturbed, tmp_path, monkeypatch):
    backwards = itertools.count(1e9, -3600)
    monkeypatch.setattr(time, "time", lambda: float(next(backwards)))
    assert_same(netadapt.search(**case, out=tmp_path / "run"), undisturbed)
