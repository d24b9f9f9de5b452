"""A lean installation: what an extra brings is asked for by the extra's name."""

import json
import os
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest

from netadapt.extras import EXTRA_OF, remedy

PYPROJECT = tomllib.loads((Path(__file__).parents[1] / "pyproject.toml").read_text())
# runs each command in a folder of its own, as if the packages were not installed
HIDING = """
import contextlib, io, json, os, sys

commands, hidden = json.load(sys.stdin)

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in hidden:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Hidden())
from netadapt.cli.main import main

done = []
for number, words in enumerate(commands):
    os.mkdir(str(number))
    os.chdir(str(number))
    sys.argv = ["netadapt", *words]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            code = main()
        except SystemExit as exit:
            code = exit.code
    done.append((code or 0, err.getvalue(), os.listdir(".")))
    os.chdir("..")
print(json.dumps(done))
"""
WITHOUT = {
    "train --model fastdepth --data synthetic:9 --out x": "depth",
    "plot missing": "plot",
    "info fastdepth-timm --input-size 64x64": "depth",
    "evaluate m.safetensors --task digits": None,
}
HELP = [f"{command} --help" for command in ("search", "train", "profile-lut", "info")]


@dataclass(frozen=True)
class Done:
    """What a command left behind."""

    code: int
    err: str
    files: list[str]


@pytest.fixture(scope="module")
def without(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Done]:
    """All commands, run by one process in which every optional package is hidden."""
    commands = [*WITHOUT, *HELP]
    done = subprocess.run(
        [sys.executable, "-c", HIDING],
        input=json.dumps([[command.split() for command in commands], sorted(EXTRA_OF)]),
        cwd=tmp_path_factory.mktemp("lean"),
        env={**os.environ, "NO_COLOR": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    return {command: Done(*one) for command, one in zip(commands, found, strict=True)}


@pytest.mark.parametrize("command", WITHOUT)
def test_a_missing_extra_is_named_in_one_line(without: dict[str, Done], command: str) -> None:
    done, extra = without[command], WITHOUT[command]
    assert done.code == 2, done.err
    assert len(done.err.strip().splitlines()) == 1
    if extra:
        assert f"pip install 'netadapt[{extra}]'" in done.err
    assert done.files == []


@pytest.mark.parametrize("command", HELP)
def test_every_command_can_be_asked_for_help_without_extras(
    without: dict[str, Done], command: str
) -> None:
    assert without[command].code == 0, without[command].err


def test_every_extra_named_exists() -> None:
    assert set(EXTRA_OF.values()) <= set(PYPROJECT["project"]["optional-dependencies"])


def test_a_package_that_no_extra_brings_has_no_remedy() -> None:
    assert remedy(ModuleNotFoundError("No module named 'abacus'", name="abacus")) is None
