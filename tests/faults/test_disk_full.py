"""A disk that is full: what was written stays, one line says so, and the run goes on later."""

import resource
import shutil
from contextlib import contextmanager

import pytest
from faulty import assert_same

import netadapt
from netadapt.errors import UserError
from netadapt.latency.table import Latency, LatencyTable
from netadapt.report.run_pictures import plot_runs
from netadapt.search.journal import Journal
from netadapt.search.progress import SearchProgress
from netadapt.training.checkpoint import load_checkpoint, save_checkpoint

FULL = "File too large"  # what the system says at a file's limit, as "No space left" on a disk


@contextmanager
def no_file_beyond(size):
    """Let no file of this process grow beyond ``size`` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def one_line(caught):
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_run_that_cannot_begin_leaves_nothing(case, tmp_path):
    with no_file_beyond(5000), pytest.raises(UserError, match=FULL) as caught:
        netadapt.search(**case, out=tmp_path / "run")
    assert "checkpoints/0.safetensors" in one_line(caught)
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("write", range(2, 14))
def test_a_run_goes_on_after_its_journal_filled_the_disk(
    case, undisturbed, tmp_path, monkeypatch, write
):
    append, written = Journal.append, []

    def limited(journal, event):
        written.append(event)
        if len(written) < write:
            return append(journal, event)
        with no_file_beyond(journal._bytes + 20):
            return append(journal, event)

    out = tmp_path / "run"
    monkeypatch.setattr(Journal, "append", limited)
    with pytest.raises(UserError, match=FULL) as caught:
        netadapt.search(**case, out=out)
    monkeypatch.undo()
    assert "journal.jsonl" in one_line(caught)
    if out.exists():
        assert_same(netadapt.search(out=out, resume=True), undisturbed)
    else:  # nothing had been scored
        assert write <= 3


@pytest.mark.parametrize("step", ["scored", "selected", "tuned"])
def test_a_run_goes_on_after_a_checkpoint_filled_the_disk(case, undisturbed, tmp_path, step):
    out = tmp_path / "run"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)

    def fill(*_):
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, hard))

    progress = SearchProgress()
    setattr(progress, step, fill)
    try:
        with pytest.raises(UserError, match=FULL) as caught:
            netadapt.search(**case, out=out, progress=progress)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "cannot write" in one_line(caught)
    assert_same(netadapt.search(out=out, resume=True), undisturbed)


def test_a_checkpoint_stays_as_it_was(case, tmp_path):
    path = tmp_path / "net.safetensors"
    shutil.copy(case["model"], path)
    model = load_checkpoint(path)
    with no_file_beyond(1000), pytest.raises(UserError, match=FULL):
        save_checkpoint(model, path)
    assert path.read_bytes() == load_bytes(case)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


def load_bytes(case):
    with open(case["model"], "rb") as file:
        return file.read()


def test_a_table_keeps_its_rows_and_takes_the_rest_later(case, tmp_path):
    whole = LatencyTable.load(case["lut"])
    rows = list(whole.rows.items())
    table = LatencyTable.open(tmp_path, whole.target)
    table.append(dict(rows[:3]))
    path = table.folder / "latency.csv"
    with (
        no_file_beyond(path.stat().st_size + 10),
        pytest.raises(UserError, match=FULL) as caught,
    ):
        table.append(dict(rows[3:]))
    assert "latency.csv" in one_line(caught)
    again = LatencyTable.open(tmp_path, whole.target)
    assert again.rows == dict(rows[:3])
    again.append(dict(rows[3:]))
    assert LatencyTable.load(table.folder).rows == whole.rows
    assert all(isinstance(latency, Latency) for latency in again.rows.values())


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_a_plot_is_whole_or_not_there(undisturbed, tmp_path, suffix):
    with no_file_beyond(1000), pytest.raises(UserError, match=FULL) as caught:
        plot_runs([undisturbed.folder], tmp_path / f"front.{suffix}")
    one_line(caught)
    assert list(tmp_path.iterdir()) == []
