"""kill -9 at counted writes of a command, which goes on each time: the end is the same.

Every write of each in turn: ``benchmarks/faults.py``.
"""

import itertools

import pytest
from killable import commands
from mortal import MOMENTS, dies

from netadapt.errors import UserError


@pytest.fixture(scope="module")
def killable(tmp_path_factory):
    return commands(tmp_path_factory.mktemp("commands"))


@pytest.mark.parametrize("name", ["search", "train", "profile-lut"])
def test_a_command_that_is_killed_again_and_again_ends_as_if_never(killable, name, tmp_path):
    command = killable[name]
    command.go_on(tmp_path / "undisturbed")
    out = tmp_path / "out"
    # each life is to last for a few writes more than the one before
    lives = zip(itertools.count(1, 2), itertools.cycle(MOMENTS), strict=False)
    deaths = 0
    for write, moment in lives:
        if not dies(command.go_on, out, write, moment):
            break
        deaths += 1
    assert deaths >= 3
    assert command.results(out) == command.results(tmp_path / "undisturbed")


@pytest.mark.parametrize("moment", MOMENTS)
def test_a_search_killed_before_it_is_a_run_can_be_started_again_there(killable, moment, tmp_path):
    command = killable["search"]
    out = tmp_path / "out"
    assert dies(command.go_on, out, 1, moment)
    assert [path.suffix for path in out.iterdir()] == [".json"]
    assert not (out / "run.json").exists()
    (out / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="is not empty"):
        command.go_on(out)
    (out / "notes.txt").unlink()
    command.go_on(out)
    command.go_on(tmp_path / "undisturbed")
    assert command.results(out) == command.results(tmp_path / "undisturbed")
