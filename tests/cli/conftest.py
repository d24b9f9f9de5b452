import sys
from pathlib import Path

import pytest
from command_line import CommandLine

HERE = Path(__file__).parent


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """The folder that commands are run in."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def netadapt(here, stock, monkeypatch, capsys) -> CommandLine:
    monkeypatch.setattr(sys, "path", [str(HERE), *sys.path])
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    return CommandLine(here, stock, monkeypatch, capsys)
