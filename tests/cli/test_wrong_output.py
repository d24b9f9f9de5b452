"""Output that cannot be written, or that would replace what is there."""

import shutil
from pathlib import Path

import pytest
from lacking import lacking

FOLDER_COMMANDS = {
    "train": "train --model @tiny.safetensors --data pairs:@pairs --input-size 32x32 --steps 1",
    "search": "search --checkpoint @small.safetensors --data pairs:@pairs --lut @lut/made-up "
    "--budget-ms 150",
}
FILE_COMMANDS = {
    "export": ("export cli_networks:Small --input-size 32x32", "onnx"),
    "plot": ("plot @run", "png"),
}


@pytest.mark.parametrize("command", FOLDER_COMMANDS)
def test_a_folder_that_holds_something_is_left_alone(netadapt, here, command):
    (here / "full").mkdir()
    (here / "full" / "mine.txt").write_text("mine")
    line = netadapt.refused_at_once(FOLDER_COMMANDS[command], "--out full")
    assert "full exists and is not empty; choose another name" in line


@pytest.mark.parametrize("command", FOLDER_COMMANDS)
def test_a_file_where_a_folder_must_be_is_left_alone(netadapt, command):
    line = netadapt.refused_at_once(FOLDER_COMMANDS[command], "--out @file")
    assert "is not a folder; choose another name" in line


@pytest.mark.parametrize("out", ["@file/new", "@file/deep/new"])
@pytest.mark.parametrize("command", FOLDER_COMMANDS)
def test_a_folder_below_a_file_cannot_be_made(netadapt, command, out):
    line = netadapt.refused_at_once(FOLDER_COMMANDS[command], "--out", out)
    assert netadapt.at_stock("@file is not a folder") in line


@pytest.mark.parametrize("command", FOLDER_COMMANDS)
def test_where_the_system_refuses_a_folder_it_is_named(netadapt, command):
    _needs_proc()
    line = netadapt.refused_at_once(FOLDER_COMMANDS[command], "--out /proc/netadapt/new")
    assert "cannot write" in line
    assert "/proc/netadapt/new" in line


@pytest.mark.parametrize("command", FILE_COMMANDS)
def test_a_folder_where_a_file_must_be_is_left_alone(netadapt, here, command):
    words, suffix = FILE_COMMANDS[command]
    (here / f"mine.{suffix}").mkdir()
    line = netadapt.refused_at_once(words, f"--out mine.{suffix}")
    assert f"mine.{suffix}: it is a folder; name a file" in line


@pytest.mark.parametrize("command", FILE_COMMANDS)
def test_a_file_below_a_file_or_a_refusing_system_cannot_be_written(netadapt, command):
    words, suffix = FILE_COMMANDS[command]
    line = netadapt.refused_at_once(words, f"--out @file/new.{suffix}")
    assert netadapt.at_stock("@file is not a folder") in line
    _needs_proc()
    line = netadapt.refused_at_once(words, f"--out /proc/new.{suffix}")
    assert f"cannot write /proc/new.{suffix}" in line


@pytest.mark.parametrize("out", ["new", "new.pb", "new.onnx.txt"])
def test_export_writes_onnx_and_pte_only(netadapt, out):
    assert "the name must end in .onnx, or in .pte for ExecuTorch" in netadapt.refused_at_once(
        f"export @tiny.safetensors --out {out}"
    )


@pytest.mark.parametrize("out", ["new", "new.gif", "new.jpg", "png"])
def test_plot_writes_png_svg_and_pdf_only(netadapt, out):
    line = netadapt.refused_at_once(f"plot @run --out {out}")
    assert "a picture is a .png, .svg or .pdf file" in line


def test_several_runs_need_a_file_for_their_picture(netadapt):
    assert "--out FRONT.png" in netadapt.refused_at_once("plot @run @run")


def test_plots_have_no_place_in_a_run_whose_plots_is_a_file(netadapt, here, stock):
    shutil.copytree(stock / "run", here / "run")
    (here / "run" / "plots").write_text("mine")
    assert "run/plots is not a folder" in netadapt.refused_at_once("plot run")


@pytest.mark.parametrize("out", ["@file", "@file/new", "/proc/netadapt"])
def test_predictions_need_a_folder_that_can_be_written(netadapt, out):
    line = netadapt.refused_at_once("predict @tiny.safetensors @photo.jpg --out", out)
    assert "cannot write" in line
    assert netadapt.at_stock(out) in line


@pytest.mark.parametrize("lut", ["@file", "@file/new", "/proc/netadapt"])
def test_a_table_needs_a_folder_that_can_be_written(netadapt, lut):
    line = netadapt.refused_at_once(
        "profile-lut --model cli_networks:Small --input-size 32x32 --runtime torch --lut", lut
    )
    assert "cannot write" in line
    assert netadapt.at_stock(lut) in line


def test_the_demo_needs_a_folder_that_can_be_written(netadapt):
    assert "cannot write" in netadapt.refused("demo --out @file")


def _needs_proc() -> None:
    if not Path("/proc").is_dir():
        lacking("the system has no /proc to refuse a write, whoever asks")
