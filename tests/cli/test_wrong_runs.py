"""Runs and trainings that are none, are damaged, or are resumed as something else."""

import random
import shutil
from pathlib import Path

import pytest


@pytest.fixture
def run(here, stock) -> Path:
    """A finished run, to damage."""
    return Path(shutil.copytree(stock / "run", here / "run"))


@pytest.fixture
def training(here, stock) -> Path:
    """A training whose last step is not saved as the result yet, to damage."""
    folder = Path(shutil.copytree(stock / "training", here / "training"))
    (folder / "model.safetensors").unlink()
    return folder


@pytest.mark.parametrize("folder", ["missing", "@file", "@empty", "@lut/made-up", "@training"])
@pytest.mark.parametrize(
    "command", ["search --resume --out {}", "plot {}", "plot @run {} --out a.png"]
)
def test_what_is_no_run_is_named(netadapt, command, folder):
    line = netadapt.refused_at_once(command.format(folder))
    assert netadapt.at_stock(folder) in line
    assert "run" in line


@pytest.mark.parametrize("folder", ["missing", "@file", "@empty", "@lut/made-up", "@run"])
def test_what_is_no_training_is_named(netadapt, folder):
    line = netadapt.refused_at_once("train --resume --out", folder)
    assert netadapt.at_stock(folder) in line
    assert "training" in line


@pytest.mark.parametrize(
    "subject", ["missing", "@file", "@empty", "@lut", "@training", "@photo.png"]
)
def test_what_info_knows_nothing_of_is_named(netadapt, subject):
    assert netadapt.at_stock(subject) in netadapt.refused_at_once("info", subject)


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--budget-ms 90", "has budget_ms 150.0, not 90.0"),
        ("--seed 7", "has seed 0, not 7"),
        ("--short-steps 3", "has short_steps 1, not 3"),
        ("--data pairs:@h5", "has data pairs:"),
        ("--checkpoint @tiny.safetensors", "has model"),
        ("--lut @lut/made-up", "has lut"),
        ("--optimizer sgd", "has optimizer adamw, not sgd"),
        ("--input-size 64x64", "has input_size None, not (64, 64)"),
    ],
)
def test_a_resumed_run_keeps_its_own_arguments(netadapt, option, said):
    line = netadapt.refused_at_once("search --resume --out @run", option)
    assert said in line
    assert "keeps its own arguments" in line


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("--steps 9", "steps was 2, not 9"),
        ("--epochs 3", "steps was 2, not 15"),
        ("--lr 0.5", "lr was 0.01, not 0.5"),
        ("--optimizer adamw", "optimizer was sgd, not adamw"),
        ("--loss berhu", "loss was None, not berhu"),
        ("--model fastdepth", "not fastdepth"),
        ("--data nyu:@h5", "not nyu:"),
        ("--input-size 64x64", "input_size was (32, 32), not (64, 64)"),
    ],
)
def test_a_resumed_training_keeps_its_own_arguments(netadapt, option, said):
    line = netadapt.refused_at_once("train --resume --out @training", option)
    assert "cannot resume" in line
    assert said in line


def test_arguments_that_agree_may_be_given_again(netadapt, training):
    assert netadapt("train --resume --out training --steps 2 --batch-size 2 --lr 0.01").code == 0
    assert (training / "model.safetensors").exists()


def test_a_finished_run_is_resumed_to_the_same_answer(netadapt, run):
    before = (run / "pareto.csv").read_bytes()
    result = netadapt("search --resume --out run")
    assert result.code == 0
    assert Path(result.out.strip()).is_file()
    assert (run / "pareto.csv").read_bytes() == before


def _noise(path: Path) -> None:
    path.write_bytes(random.Random(0).randbytes(900))


def _torn(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _without_line(number: int):
    def damage(path: Path) -> None:
        lines = path.read_text().splitlines(keepends=True)
        path.write_text("".join(lines[: number - 1] + lines[number:]))

    return damage


RUN_DAMAGE = {
    ("run.json", "noise"): (_noise, ["search --resume --out run", "plot run", "info run"]),
    ("run.json", "torn"): (_torn, ["search --resume --out run", "plot run", "info run"]),
    ("journal.jsonl", "noise"): (
        lambda path: path.write_bytes(b"{}\n" + path.read_bytes()),
        ["search --resume --out run", "info run"],
    ),
    ("journal.jsonl", "no base"): (_without_line(1), ["search --resume --out run"]),
    ("candidates.csv", "noise"): (_noise, ["plot run"]),
    ("pareto.csv", "torn"): (_torn, ["plot run"]),
    ("samples.npz", "torn"): (_torn, ["plot run"]),
    ("samples.npz", "noise"): (_noise, ["plot run"]),
    ("0.safetensors", "torn"): (_torn, ["search --resume --out run"]),
}


@pytest.mark.parametrize(
    ("damage", "command"),
    [(damage, command) for damage, (_, commands) in RUN_DAMAGE.items() for command in commands],
)
def test_a_damaged_file_of_a_run_is_named(netadapt, run, damage, command):
    (path,) = run.rglob(damage[0])
    RUN_DAMAGE[damage][0](path)
    line = netadapt.refused(command)
    assert damage[0].partition(".")[0] in line


@pytest.mark.parametrize("name", ["config.json", "history.csv", "last.safetensors"])
@pytest.mark.parametrize("damage", [_noise, _torn], ids=["noise", "torn"])
def test_a_damaged_file_of_a_training_is_named(netadapt, training, name, damage):
    damage(training / name)
    line = netadapt.refused_at_once("train --resume --out training")
    assert f"training/{name}" in line


def test_another_checkpoint_in_the_place_of_the_last_is_named(netadapt, training, stock):
    shutil.copy(stock / "tiny.safetensors", training / "last.safetensors")
    line = netadapt.refused_at_once("train --resume --out training")
    assert "last.safetensors is no checkpoint of a training" in line


def test_runs_by_different_scores_are_not_overlaid(netadapt, run):
    for path in (run / "run.json", run / "candidates.csv", run / "pareto.csv"):
        path.write_text(path.read_text().replace("delta1", "delta2"))
    line = netadapt.refused_at_once("plot @run run --out both.png")
    assert "scores by delta1" in line
