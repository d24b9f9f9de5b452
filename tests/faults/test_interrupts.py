"""Ctrl-C: once to finish what is in flight, twice to stop at once."""

import os
import signal

import pytest
from faulty import assert_same

import netadapt
from netadapt.search.journal import Journal
from netadapt.search.progress import SearchProgress


class Impatient(SearchProgress):
    """Presses Ctrl-C at the first ``step``, ``times`` times."""

    def __init__(self, step, times):
        self.told = 0
        self._times = times
        setattr(self, step, self._press)

    def draining(self):
        self.told += 1

    def _press(self, *_event):
        for _ in range(self._times):
            os.kill(os.getpid(), signal.SIGINT)
        self._times = 0


def names(out):
    return [event.event for event in Journal(out / "journal.jsonl").events]


@pytest.mark.parametrize("step", ["proposed", "scored", "selected", "tuned"])
def test_an_interrupted_search_stops_after_a_whole_event_and_goes_on(
    case, undisturbed, tmp_path, step
):
    out = tmp_path / "run"
    progress = Impatient(step, 1)
    with pytest.raises(KeyboardInterrupt):
        netadapt.search(**case, out=out, progress=progress)
    assert progress.told == 1
    whole = names(undisturbed.folder)
    assert names(out) == whole[: len(names(out))]
    assert len(names(out)) < len(whole)
    assert_same(netadapt.search(out=out, resume=True), undisturbed)


def test_the_second_interrupt_does_not_wait(case, tmp_path):
    progress = Impatient("proposed", 2)
    with pytest.raises(KeyboardInterrupt):
        netadapt.search(**case, out=tmp_path / "run", progress=progress)
    assert progress.told == 1
    assert names(tmp_path / "run") == ["started", "iteration"]


def test_the_interrupt_is_pythons_own_again_after_a_search(undisturbed):
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
