import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from PIL import Image
from run_folders import MakeRun

from netadapt.errors import UserError
from netadapt.report import plot_runs


def test_a_run_gets_all_its_pictures(make_run: MakeRun) -> None:
    folder = make_run(samples=True)
    written = plot_runs([folder])
    assert written == [folder / "plots" / f"{name}.png" for name in ("front", "widths", "samples")]
    for path in written:
        with Image.open(path) as picture:
            picture.verify()
            assert picture.width >= 800


def test_a_run_without_samples_gets_no_strip(make_run: MakeRun) -> None:
    assert [path.stem for path in plot_runs([make_run()])] == ["front", "widths"]


@pytest.mark.parametrize("suffix", [".png", ".svg", ".pdf"])
def test_the_front_is_written_in_the_asked_format(
    make_run: MakeRun, tmp_path: Path, suffix: str
) -> None:
    out = tmp_path / f"front{suffix}"
    assert plot_runs([make_run("first"), make_run("second", seed=1)], out) == [out]
    if suffix == ".png":
        with Image.open(out) as picture:
            picture.verify()
    elif suffix == ".svg":
        assert ElementTree.parse(out).getroot().tag.endswith("svg")
    else:
        content = out.read_bytes()
        assert content.startswith(b"%PDF-")
        assert content.rstrip().endswith(b"%%EOF")


@pytest.mark.parametrize("name", ["front", "front.jpg", "front.csv"])
def test_other_formats_are_refused_before_anything_is_read(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match=r"\.png, \.svg or \.pdf"):
        plot_runs([tmp_path / "nowhere"], tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_several_runs_need_a_file_to_go_to(make_run: MakeRun) -> None:
    with pytest.raises(UserError, match="--out"):
        plot_runs([make_run("first"), make_run("second")])


def test_no_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no run"):
        plot_runs([])
    with pytest.raises(UserError, match="no run"):
        plot_runs([], tmp_path / "front.png")


def test_an_unwritable_place_is_one_line_and_leaves_nothing(
    make_run: MakeRun, tmp_path: Path
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("in the way")
    with pytest.raises(UserError, match="cannot write"):
        plot_runs([make_run()], blocked / "front.png")
    folder = tmp_path / "folder.png"
    folder.mkdir()
    with pytest.raises(UserError, match="it is a folder"):
        plot_runs([make_run("other")], folder)
    assert list(folder.iterdir()) == []
    assert blocked.read_text() == "in the way"


def test_damaged_samples_leave_no_pictures(make_run: MakeRun) -> None:
    folder = make_run()
    (folder / "samples.npz").write_bytes(b"PK")
    with pytest.raises(UserError, match="samples"):
        plot_runs([folder])
    assert not (folder / "plots").exists()


def test_the_same_run_gives_the_same_files(make_run: MakeRun, tmp_path: Path) -> None:
    folder = make_run()
    for suffix in (".png", ".svg", ".pdf"):
        first, second = tmp_path / f"first{suffix}", tmp_path / f"second{suffix}"
        plot_runs([folder], first)
        plot_runs([folder], second)
        assert first.read_bytes() == second.read_bytes()


def test_pictures_need_neither_torch_nor_a_screen() -> None:
    code = (
        "import sys, netadapt.report; "
        "print([name for name in ('torch', 'matplotlib.pyplot') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
