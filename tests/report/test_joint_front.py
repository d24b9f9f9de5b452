"""Pictures and page of a search over several input sizes."""

import json
import shlex
from pathlib import Path

import numpy as np
import pytest
from run_folders import MakeRun

from netadapt.report.front import plot_front
from netadapt.report.page.html import page
from netadapt.report.run_pictures import plot_runs
from netadapt.report.runs import read_run
from netadapt.report.several import read_runs
from netadapt.search.front import pareto_front

SIZES = ("64x96", "32x64")


@pytest.fixture
def folder(make_run: MakeRun) -> Path:
    """A search over two input sizes; the second was begun with the same budget."""
    runs = [make_run(f"sizes/{name}", seed=seed) for seed, name in enumerate(SIZES)]
    for run, name in zip(runs, SIZES, strict=True):
        values = json.loads((run / "run.json").read_text())
        options = {"truth_size": SIZES[0], "loss": "l1"}
        size = [int(side) for side in name.split("x")]
        values |= {"model": "base.safetensors", "input_size": size, "task_options": options}
        (run / "run.json").write_text(json.dumps(values))
    found = runs[0].parent
    (found / "sizes.json").write_text(json.dumps({name: {} for name in (*SIZES, "16x32")}))
    return found


def test_its_front_is_that_of_all_runs(folder: Path) -> None:
    runs, joint = read_runs([folder])
    assert joint is not None
    assert joint.answer is None
    rows = [(place, row) for place, run in enumerate(runs) for _, row in run.candidates.iterrows()]
    kept = pareto_front(
        [row["latency_ms"] for _, row in rows],
        np.concatenate([run.gains(run.candidates) for run in runs]),
    )
    assert joint.points == tuple((rows[at][0], rows[at][1]["candidate"]) for at in kept)


def test_runs_named_one_by_one_have_no_front_in_common(folder: Path) -> None:
    assert read_runs([folder / name for name in SIZES])[1] is None


def test_one_picture_shows_the_front_and_the_answer(folder: Path) -> None:
    final = read_run(folder / SIZES[1]).front["candidate"].iloc[0]
    (folder / "summary.json").write_text(json.dumps({"final": final, "input_size": SIZES[1]}))
    legend = plot_front(*read_runs([folder])).legends[0]
    told = [text.get_text() for text in legend.get_texts()]
    assert "front over all input sizes" in told
    assert f"answer, at {SIZES[1]}" in told
    assert plot_runs([folder]) == [folder / "plots/front.png"]


def test_the_page_has_one_front_and_the_command_that_makes_it_again(folder: Path) -> None:
    text = page([folder])
    data = json.loads(text.split('id="data">')[1].split("</script>")[0])
    assert [run["name"] for run in data["runs"]] == list(SIZES)
    assert data["joint"]["name"] == "sizes"
    for place, name in data["joint"]["points"]:
        candidates = data["runs"][place]["candidates"]
        assert candidates["front"][candidates["name"].index(name)]
    search = next(line for line in data["runs"][1]["commands"] if " search " in line)
    words = shlex.split(search)
    assert words[words.index("--input-sizes") + 1] == ",".join(SIZES)
    assert "loss=l1" in words
    assert not any("truth_size" in word for word in words)
