"""stdout, stderr and stdin that are closed, full, gone or of another encoding: no traceback."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from lacking import lacking

PROGRAM = f"{sys.executable} -m netadapt"
COMMANDS = {"table": "lut show {}/lut/made-up", "json": "lut show {}/lut/made-up --json"}


@pytest.fixture
def shell(stock, tmp_path):
    def run(line: str, **environment: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            ["bash", "-o", "pipefail", "-c", line.replace("netadapt", PROGRAM, 1).format(stock)],
            cwd=tmp_path, env=os.environ | environment, capture_output=True, text=True,
            timeout=120, check=False,
        )  # fmt: skip

    return run


@pytest.mark.parametrize("command", COMMANDS)
def test_a_full_stdout_is_named(shell, command):
    if not Path("/dev/full").exists():
        lacking("the system has no /dev/full")
    done = shell(f"netadapt {COMMANDS[command]} > /dev/full")
    assert done.returncode == 2
    assert done.stderr == (
        "error: cannot write to stdout: No space left on device; free some space, or send it "
        "elsewhere\n"
    )


@pytest.mark.parametrize("closed", [">&-", ">&- 2>&- <&-", "2> /dev/full"])
def test_closed_streams_and_a_full_stderr_change_nothing(shell, closed):
    done = shell(f"netadapt {COMMANDS['table']} {closed}")
    assert (done.returncode, done.stderr) == (0, "")


def test_the_exit_code_is_that_of_the_error_even_if_nobody_can_read_it(shell):
    assert shell("netadapt lut show nonsense 2> /dev/full > /dev/full").returncode == 2


@pytest.mark.parametrize("command", COMMANDS)
def test_a_reader_that_has_seen_enough_is_no_error(shell, command):
    done = shell(f"netadapt {COMMANDS[command]} | true")
    assert (done.returncode, done.stderr) == (0, "")


def test_what_ascii_cannot_hold_is_written_as_an_escape(shell):
    done = shell(f"netadapt {COMMANDS['table']}", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stderr) == (0, "")
    assert r"p50 \xb5s" in done.stdout


def test_json_is_json_in_any_encoding(shell, tmp_path):
    (tmp_path / "größe").symlink_to(tmp_path)
    line = "netadapt lut list --lut größe --json"
    ascii_only = shell(line, PYTHONIOENCODING="ascii")
    assert ascii_only.stdout.isascii()
    assert json.loads(ascii_only.stdout) == json.loads(shell(line).stdout)
