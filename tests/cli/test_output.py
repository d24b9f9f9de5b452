"""What goes to stdout, what to stderr, and the exit codes, when nothing is wrong."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parent / "golden"
PROGRAM = [sys.executable, "-c", "from netadapt.cli.main import main; main()"]


def test_the_bare_command_prints_help(netadapt):
    result = netadapt()
    assert result.code == 0
    assert result.err == ""
    commands = (
        "demo", "train", "evaluate", "profile-lut", "search", "plot", "benchmark", "export",
        "predict", "info",
    )  # fmt: skip
    for command in commands:
        assert re.search(rf"^ +{command} ", result.out, re.MULTILINE), command
        assert netadapt(command, "--help").code == 0


JSON = {
    "evaluate @tiny.safetensors --data pairs:@pairs": {"delta1", "rmse", "absrel", "split"},
    "benchmark @tiny.safetensors --runs 5 --runtime torch": {"p10_ms", "p50_ms", "p90_ms", "runs"},
    "benchmark cli_networks:Small --runs 5 --input-size 32x32": {"p50_ms", "target"},
    # one width for all networks: a correlation that is no number
    "profile-lut --model @small.safetensors --runtime torch --channel-multiple 64 --lut new": {
        "lut", "workloads", "added", "mape", "spearman", "predicted_ms", "narrowest_ms",
    },
    "info @tiny.safetensors": {"groups", "locked", "macs", "parameters"},
    "info @tiny.safetensors --lut @lut/made-up": {"predicted_ms", "narrowest_ms"},
    "info @lut/made-up": {"target", "workloads", "validation"},
    "info @run": {"settings", "front", "finished"},
}  # fmt: skip


@pytest.mark.parametrize("command", JSON)
def test_json_is_one_object_and_all_of_stdout(netadapt, command):
    result = netadapt(command, "--json")
    assert result.code == 0
    assert result.json.keys() >= JSON[command]


@pytest.mark.parametrize(
    "command",
    [
        "evaluate cli_networks:Small --input-size 32x32 --data pairs:@pairs",
        "predict cli_networks:Small --input-size 32x32 @photo.jpg --out new",
        "export cli_networks:Small --input-size 32x32 --out new.onnx",
        "benchmark cli_networks:Small --input-size 32x32 --runs 5 --runtime torch",
        "info cli_networks:Small --input-size 32x32",
        "search --model cli_networks:Small --input-size 32x32 --data pairs:@pairs "
        "--lut @lut/board --budget-ms 150 --short-steps 1 --long-steps 1 --out new",
    ],
)
def test_fresh_weights_are_called_so_on_stderr(netadapt, command):
    result = netadapt(command)
    assert result.code == 0
    assert "cli_networks:Small: fresh weights, not trained" in result.err
    assert "fresh" not in result.out


def test_a_trained_network_is_not_called_fresh(netadapt):
    assert "fresh" not in netadapt("info @tiny.safetensors").err


def test_predict_writes_a_picture_beside_each_photograph(netadapt, here):
    result = netadapt("predict @tiny.safetensors @photo.jpg @pairs/rgb/01.jpg --out new/maps")
    assert result.code == 0
    assert result.out.split() == ["new/maps/photo-depth.png", "new/maps/01-depth.png"]
    assert all((here / line).is_file() for line in result.out.split())


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_plot_prints_the_file_it_wrote(netadapt, here, suffix):
    result = netadapt("plot @run @run --out", f"new.{suffix}")
    assert (result.code, result.out, result.err) == (0, f"new.{suffix}\n", "")
    assert (here / f"new.{suffix}").stat().st_size > 1000


def test_progress_is_plain_lines_where_stderr_is_no_terminal(netadapt):
    result = netadapt(
        "train --model @tiny.safetensors --data pairs:@pairs --input-size 32x32 --out new",
        "--steps 2 --batch-size 2 --eval-every 1",
    )
    assert result.code == 0
    assert result.out == "new/model.safetensors\n"
    assert re.fullmatch(r"step \d/2 .*", result.err.splitlines()[0])
    assert "step 2  holdout: delta1" in result.err
    assert not re.search(r"[\x1b\r]", result.err)


@pytest.mark.parametrize(
    "subject",
    ["table", "network", "network_with_table", "run"],
)
def test_info_prints_what_it_did_before(netadapt, here, stock, subject):
    """Run with ``OVERWRITE_GOLDEN=1`` in the environment to make what is printed the new truth."""
    for name in ("tiny.safetensors", "lut", "run"):
        (here / name).symlink_to(stock / name)
    words = {
        "table": "info lut/made-up",
        "network": "info tiny.safetensors",
        "network_with_table": "info tiny.safetensors --lut lut/made-up",
        "run": "info run",
    }
    result = netadapt(words[subject])
    assert result.code == 0
    printed = _normalised(result.out, stock)
    golden = GOLDEN / f"info_{subject}.txt"
    if "OVERWRITE_GOLDEN" in os.environ:
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(printed, encoding="utf-8")
    assert printed == golden.read_text(encoding="utf-8")


def _normalised(text: str, stock: Path) -> str:
    """Without what differs between machines and runs: places, hardware, what was measured."""
    text = text.replace(f"{stock}/", "")
    for name in ("hardware", "system", "runtime_version", "clock", "date"):
        text = re.sub(rf"(  {name}: ).*", r"\1...", text)
    text = re.sub(r"^( +\S+ +(?:base|short|long) +\S+).*", r"\1 ...", text, flags=re.MULTILINE)
    return "\n".join(" ".join(line.split()) for line in text.splitlines()) + "\n"


def test_a_name_in_brackets_is_printed_as_it_is(netadapt, here, stock):
    shutil.copy(stock / "small.safetensors", here / "a[bold]b.safetensors")
    result = netadapt("info a[bold]b.safetensors")
    assert "model: a[bold]b.safetensors\n" in result.out


class TestAsAProgram:
    """In a process of its own: what no test inside this one can see."""

    def run(self, here: Path, *words: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*PROGRAM, *words], cwd=here, env=_environment(), capture_output=True, text=True,
            timeout=120, check=False,
        )  # fmt: skip

    def test_a_mistake_is_one_line_on_stderr_and_code_2(self, here, stock):
        done = self.run(here, "lut", "show", f"{stock}/empty")
        assert (done.returncode, done.stdout) == (2, "")
        assert re.fullmatch(r"error: there is no latency table .*\n", done.stderr)

    def test_success_is_code_0_and_nothing_on_stderr(self, here, stock):
        done = self.run(
            here,
            "evaluate",
            f"{stock}/tiny.safetensors",
            "--data",
            f"pairs:{stock}/pairs",
            "--json",
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert "delta1" in json.loads(done.stdout)


def _environment() -> dict[str, str]:
    return os.environ | {"OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}


def test_info_of_a_run_in_progress_does_not_touch_its_journal(netadapt, here):
    shutil.copytree(netadapt.stock / "run", here / "run")
    journal = here / "run/journal.jsonl"
    whole = journal.read_bytes()
    journal.write_bytes(whole[:-20])
    facts = netadapt("info run --json").json
    assert facts["finished"] is None
    assert journal.read_bytes() == whole[:-20]
