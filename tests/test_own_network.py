"""The page that takes a user's own network and task to a front says what is true."""

import json
import re
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from quick_profile import BRIEF

import netadapt
from netadapt.cli.main import main
from netadapt.profiling.runtimes.base import Runtime

PAGE = Path(__file__).parents[1] / "docs" / "own_network.md"
# so small that it is over in seconds; the page's own numbers are for people
HURRY = {"train": ["--steps", "20"], "search": ["--short-steps", "1", "--long-steps", "2"]}


@pytest.fixture(scope="module")
def blocks():
    found = re.findall(r"```(\w*)\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert found[0][0] == "python"
    return found[0][1], found[1][1].splitlines()


def test_it_takes_60_lines(blocks):
    code, commands = blocks
    assert len(code.splitlines()) + len(commands) <= 60


def test_the_page_leads_to_a_front(blocks, tmp_path, monkeypatch, capsys):
    code, commands = blocks
    (tmp_path / "mine.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(Runtime, "schedule", replace(BRIEF, refinements=1))
    monkeypatch.setenv("NETADAPT_TRUST", "")  # so that what the commands trust is forgotten
    known: dict[str, str] = {}
    for command in commands:
        for name, value in known.items():
            command = command.replace(name, value)
        words = command.split()
        monkeypatch.setattr(sys, "argv", [words[0], *words[1:], *HURRY.get(words[1], [])])
        with pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code == 0, f"{command}\n{capsys.readouterr().err}"
        if words[1] == "profile-lut":
            table = next((tmp_path / "work" / "lut").iterdir())
            _detach(table)
            known = {"SLUG": table.name, "MS": _most_of_it(tmp_path, table)}
    assert (tmp_path / "work" / "run" / "pareto.csv").exists()
    assert (tmp_path / "work" / "run" / "plots" / "front.png").exists()


def _detach(table: Path) -> None:
    """Say that it is of another machine: a clock that counts microseconds is no test."""
    target = json.loads((table / "target.json").read_text())
    (table / "target.json").write_text(json.dumps(target | {"hardware": "another board"}))


def _most_of_it(folder: Path, table: Path) -> str:
    """A budget that is soon reached."""
    path = folder / "work" / "base" / "model.safetensors"
    model = netadapt.load_model(path, factory="mine:Net")
    prunable = netadapt.trace(model, torch.rand(1, 1, 8, 8))
    return str(0.85 * netadapt.LatencyPredictor(prunable, netadapt.LatencyTable.load(table))({}))
