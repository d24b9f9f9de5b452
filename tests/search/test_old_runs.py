"""Runs of earlier versions open for ever: tests/fixtures/run-format1 was written by one."""

import json
import shutil
from pathlib import Path

import pytest

import netadapt
from netadapt.cli import describe
from netadapt.errors import UserError
from netadapt.report import read_run
from netadapt.search.journal import Journal
from netadapt.search.run_folder import RunFolder
from netadapt.search.state import SearchState

RUNS = Path(__file__).resolve().parents[1] / "fixtures" / "run-format1"
NAMES = ("predicted", "tightened")


@pytest.fixture(params=NAMES)
def folder(request, tmp_path):
    shutil.copytree(RUNS / request.param, tmp_path / "run")
    return tmp_path / "run"


def test_its_journal_settings_and_tables_are_read(folder):
    run = RunFolder.existing(folder)
    state = SearchState(run.higher_is_better()).replay(Journal(run.journal).events)
    view = read_run(folder)
    assert run.settings().budget_ms == view.budget_ms
    assert [row.name for row in state.front()] == list(view.front["candidate"])
    chosen = view.chosen
    assert chosen is None or str(chosen["candidate"]) == state.finished


@pytest.mark.parametrize("device", ["cpu", "cuda:1"])
def test_where_it_trained_was_once_called_device(folder, device):
    path = folder / "run.json"
    facts = json.loads(path.read_text())
    assert "train_on" not in facts
    path.write_text(json.dumps(facts | {"device": device}))
    assert RunFolder.existing(folder).settings().train_on == device


def test_info_tells_its_front(folder):
    facts = describe.run(folder)
    assert facts["finished"].endswith("-long")
    assert [row["candidate"] for row in facts["front"]] == list(read_run(folder).front["candidate"])


def test_info_takes_the_better_score_from_the_run(folder):
    path = folder / "run.json"
    facts = json.loads(path.read_text())
    path.write_text(json.dumps(facts | {"higher_is_better": False}))
    front = describe.run(folder)["front"]
    scores = [row["score"] for row in front]
    assert scores == sorted(scores, reverse=True)
    assert scores[-1] == pytest.approx(
        read_run(folder).candidates["delta1_holdout"].min(), abs=1e-6
    )
    del facts["higher_is_better"]
    path.write_text(json.dumps(facts))
    with pytest.raises(UserError, match="higher_is_better"):
        describe.run(folder)


def test_one_that_was_given_options_of_other_strategies_goes_on(finished, tmp_path):
    out = shutil.copytree(finished.folder, tmp_path / "run")
    path = out / "run.json"
    given = {"population": 8, "candidates": 3, "importance": None, "saliency_batches": 2}
    path.write_text(json.dumps(json.loads(path.read_text()) | given))
    assert netadapt.search(out=out, resume=True).final.name == finished.final.name
    with pytest.raises(UserError, match="--population 8 is for strategy evolution, not netadapt"):
        netadapt.search(out=out, resume=True, population=8)
