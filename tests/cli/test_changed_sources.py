"""A run or training goes on with the table, base network and data that it was begun with."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from netadapt.checksums import listing_checksum
from netadapt.depth.data.spec import files_of
from netadapt.search.sources import sources_of
from netadapt.training.digits import open_digits

RESUME = "search --resume --out run"
TRAIN = "train --resume --out training"


@pytest.fixture
def begun(here: Path, stock: Path) -> Path:
    """Copies of a run, a training and all that they were begun with, to change."""
    for name in ("run", "training", "lut/board", "pairs"):
        shutil.copytree(stock / name, here / name)
    shutil.copy(stock / "small.safetensors", here)
    for file in ("run/run.json", "training/config.json"):
        text = (here / file).read_text()
        text = text.replace(f"{stock}/pairs", f"{here}/pairs").replace(
            f"{stock}/lut", f"{here}/lut"
        )
        text = text.replace(f"{stock}/small", f"{here}/small")
        (here / file).write_text(text)
    (here / "training/model.safetensors").unlink()
    return here


def recalibrate(here: Path) -> None:
    path = here / "lut/board/target.json"
    target = json.loads(path.read_text())
    target["calibrations"][0]["call_us"] += 1
    path.write_text(json.dumps(target))


def profile_more(here: Path) -> None:
    path = here / "lut/board/latency.csv"
    path.write_text(
        path.read_text() + path.read_text().splitlines()[-1].replace("1x1", "5x5") + "\n"
    )


def overwrite_base(here: Path) -> None:
    shutil.copy(here / "training/best.safetensors", here / "small.safetensors")


def resize_photograph(here: Path) -> None:
    path = here / "pairs/rgb/03.jpg"
    path.write_bytes(path.read_bytes() + b"\0")


def add_frame(here: Path) -> None:
    for part, suffix in (("rgb", "jpg"), ("depth", "png")):
        shutil.copy(here / f"pairs/{part}/03.{suffix}", here / f"pairs/{part}/99.{suffix}")


def say_unit(here: Path) -> None:
    (here / "pairs/camera.json").write_text('{"depth_unit_m": 0.002}')


TABLE, BASE, DATA = "the latency table", "the base network", "the data pairs:"
CHANGES: dict[Callable[[Path], None], str] = {
    recalibrate: TABLE,
    profile_more: TABLE,
    overwrite_base: BASE,
    resize_photograph: DATA,
    add_frame: DATA,
    say_unit: DATA,
}


@pytest.mark.parametrize("change", [recalibrate, overwrite_base, add_frame])
def test_a_change_is_named_refused_and_accepted_once(netadapt, begun, change):
    change(begun)
    line = netadapt.refused_at_once(RESUME)
    assert line.startswith(f"since run was begun, {CHANGES[change]}")
    assert " and " not in line.partition(";")[0]
    assert "go on all the same with --accept-changed" in line
    accepted = netadapt(RESUME, "--accept-changed")
    assert accepted.code == 0
    name = {TABLE: "table", BASE: "base", DATA: "data"}[CHANGES[change]]
    assert json.loads((begun / "run/run.json").read_text())["accepted_changes"] == [name]
    again = netadapt(RESUME)
    assert again.code == 0
    assert f"changed while the search was under way, and accepted: {name}" in again.err


@pytest.mark.parametrize("change", CHANGES)
def test_every_change_is_noticed(begun, change):
    task = SimpleNamespace(data_files=files_of(f"pairs:{begun}/pairs"), spec="pairs:")
    settings = SimpleNamespace(lut=begun / "lut/board", model=str(begun / "small.safetensors"))
    problem: Any = SimpleNamespace(settings=settings, base=SimpleNamespace(task=task))
    before = sources_of(problem)
    change(begun)
    now = sources_of(problem)
    (different,) = [source for name, source in now.items() if source != before[name]]
    assert different.words.startswith(CHANGES[change])


def test_several_changes_are_named_in_one_line(netadapt, begun):
    for change in (recalibrate, overwrite_base, add_frame):
        change(begun)
    line = netadapt.refused_at_once(RESUME)
    assert TABLE in line
    assert f"{begun}/small.safetensors and {DATA}" in line


def test_a_search_for_several_targets_accepts_for_all_of_them(netadapt, begun):
    settings = json.loads((begun / "run/run.json").read_text())
    for name in ("checksums", "score", "higher_is_better"):
        del settings[name]
    (begun / "several").mkdir()
    (begun / "several/targets.json").write_text(json.dumps({"board": settings}))
    (begun / "run").rename(begun / "several/board")
    recalibrate(begun)
    resume = "search --resume --out several"
    assert f"since several/board was begun, {TABLE}" in netadapt.refused_at_once(resume)
    assert netadapt(resume, "--accept-changed").code == 0
    changes = json.loads((begun / "several/board/run.json").read_text())["accepted_changes"]
    assert changes == ["table"]


def test_what_was_stopped_goes_on_with_an_accepted_table_to_an_answer(netadapt, begun):
    journal = begun / "run/journal.jsonl"
    journal.write_text("".join(journal.read_text().splitlines(keepends=True)[:-1]))
    recalibrate(begun)
    netadapt.refused_at_once(RESUME)
    assert netadapt(RESUME, "--accept-changed").code == 0
    assert '"event":"finished"' in journal.read_text().splitlines()[-1]


def test_copies_and_other_times_are_no_change(netadapt, begun):
    for path in (*begun.glob("pairs/*/*"), *begun.glob("lut/*/*"), begun / "small.safetensors"):
        os.utime(path, (1, 1))
    (begun / "pairs/rgb/.thumbnails").mkdir()
    (begun / "pairs/rgb/.thumbnails/03.jpg").write_text("hidden files do not count")
    before = (begun / "run/run.json").read_bytes()
    assert netadapt(RESUME).code == 0
    assert (begun / "run/run.json").read_bytes() == before


def test_a_base_that_is_gone_is_no_change_for_the_run_has_its_own(netadapt, begun):
    (begun / "small.safetensors").unlink()
    assert netadapt(RESUME).code == 0


def test_a_run_of_an_earlier_version_goes_on_as_before(netadapt, begun):
    path = begun / "run/run.json"
    facts = json.loads(path.read_text())
    assert facts.pop("checksums").keys() == {"table", "base", "data"}
    path.write_text(json.dumps(facts))
    recalibrate(begun)
    assert netadapt(RESUME).code == 0


def test_a_training_goes_on_with_its_data(netadapt, begun):
    add_frame(begun)
    line = netadapt.refused_at_once(TRAIN)
    assert line.startswith(f"since training was begun, {DATA}")
    assert netadapt(TRAIN, "--accept-changed").code == 0
    assert json.loads((begun / "training/config.json").read_text())["accepted_changes"] == ["data"]


def test_a_training_of_an_earlier_version_goes_on_as_before(netadapt, begun):
    path = begun / "training/config.json"
    facts = json.loads(path.read_text())
    del facts["checksums"]
    path.write_text(json.dumps(facts))
    add_frame(begun)
    assert netadapt(TRAIN).code == 0


@pytest.mark.parametrize("checksums", [5, ["a"], "x"])
@pytest.mark.parametrize("command", [RESUME, TRAIN])
def test_checksums_that_are_none_are_damage(netadapt, begun, command, checksums):
    path = begun / ("run/run.json" if command == RESUME else "training/config.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"checksums": checksums}))
    assert f"{path.relative_to(begun)} is damaged: its checksums" in netadapt.refused_at_once(
        command
    )


@pytest.mark.parametrize(
    "command",
    [
        "search --checkpoint @small.safetensors --data pairs:@pairs --lut @lut/board "
        "--budget-ms 150 --out new",
        "train --model @tiny.safetensors --data pairs:@pairs --input-size 32x32 --out new",
    ],
)
def test_nothing_is_accepted_where_nothing_goes_on(netadapt, command):
    line = netadapt.refused_at_once(command, "--accept-changed")
    assert "--accept-changed is for a run or training that goes on: add --resume" in line


def test_a_listing_follows_links_and_ends_where_they_go_round(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "data/part").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere/round").symlink_to(tmp_path / "data")
    before = listing_checksum([tmp_path / "data"])
    (tmp_path / "elsewhere/0.png").write_bytes(b"12")
    after = listing_checksum([tmp_path / "data"])
    (tmp_path / "elsewhere/0.png").write_bytes(b"21")
    assert before != after
    assert listing_checksum([tmp_path / "data"]) == after  # names and sizes alone


def test_a_task_of_ones_own_names_its_files(stock, tmp_path):
    task = open_digits(None, None)
    settings = SimpleNamespace(lut=stock / "lut/board", model="fastdepth")
    problem: Any = SimpleNamespace(settings=settings, base=SimpleNamespace(task=task))
    assert sources_of(problem).keys() == {"table"}
    (tmp_path / "mine.bin").write_bytes(b"1")
    task.data_files = (tmp_path / "mine.bin",)
    before = sources_of(problem)
    assert before.keys() == {"table", "data"}
    (tmp_path / "mine.bin").write_bytes(b"12")
    assert sources_of(problem)["data"] != before["data"]
