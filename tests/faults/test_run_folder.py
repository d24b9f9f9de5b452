"""What may happen to the folder of a search while it is at work, and to its clock."""

import itertools
import os
import shutil
import time

import pytest
from faulty import faulty_case

import netadapt
from netadapt.errors import UserError
from netadapt.search.progress import SearchProgress

GONE = r"was changed or removed|does not exist|cannot write"


@pytest.fixture(scope="module")
def case(tmp_path_factory):
    return faulty_case(tmp_path_factory.mktemp("faulty"))


@pytest.fixture(scope="module")
def undisturbed(case, tmp_path_factory):
    return netadapt.search(**case, out=tmp_path_factory.mktemp("runs") / "run")


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


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_run_is_said_so(undisturbed, tmp_path):
    out = tmp_path / "run"
    shutil.copytree(undisturbed.folder, out)
    (out / "run.lock").unlink()
    out.chmod(0o500)
    try:
        with pytest.raises(UserError, match=r"cannot write .*run\.lock: Permission denied"):
            netadapt.search(out=out, resume=True)
    finally:
        out.chmod(0o700)


def test_a_clock_that_runs_backwards_changes_nothing(case, undisturbed, tmp_path, monkeypatch):
    backwards = itertools.count(1e9, -3600)
    monkeypatch.setattr(time, "time", lambda: float(next(backwards)))
    run = netadapt.search(**case, out=tmp_path / "run")
    for name in ("journal.jsonl", "pareto.csv", "candidates.csv"):
        assert (run.folder / name).read_bytes() == (undisturbed.folder / name).read_bytes()
