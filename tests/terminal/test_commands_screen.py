"""Every command on a real terminal: what a person sees, of any width, and after Ctrl-C."""

import re

import pytest
from test_search_screen import SEARCH, flowing

CTRL_C = "\x03"
TRAIN = (
    "train --model @tiny.safetensors --data pairs:@pairs --input-size 32x32 --out new "
    "--batch-size 2 --eval-every 1000 "
)
ESCAPE = b"\x1b"
QUICK = {
    "info": ("info @run", "front", 20),
    "lut show": ("lut show @lut/made-up", "workloads", 20),
    "lut list": ("lut list --lut @lut", "made-up", 20),
    "plot": ("plot @run --out front.png", "front.png", 20),
    "evaluate": ("evaluate @tiny.safetensors --data pairs:@pairs", "delta1", 20),
    "predict": ("predict @tiny.safetensors @photo.jpg --out maps", "maps/photo-depth.png", 20),
    "benchmark": ("benchmark @small.safetensors --runtime torch --runs 5", "p50", 20),
}


@pytest.mark.parametrize("command", QUICK)
def test_a_command_prints_its_answer(terminal, command):
    words, answer, width = QUICK[command]
    with terminal(words, width=width) as screen:
        assert screen.end() == 0, screen.text
    shown = flowing(screen)
    assert answer in shown
    assert "Traceback" not in shown


@pytest.mark.parametrize("width", [80, 200])
def test_tables_are_listed_so_that_each_name_and_figure_stays_in_one_piece(terminal, width):
    with terminal("lut list --lut @lut", width=width) as screen:
        assert screen.end() == 0
    lines = screen.text.splitlines()
    slug = next(line for line in lines if "made-up" in line)
    assert (slug.strip() == "made-up") == (width == 80)
    assert any("repeats to %" in line for line in lines)
    assert any("within 10 %" in line for line in lines)
    assert all(line == line.rstrip() and len(line) <= width for line in lines)


@pytest.mark.parametrize("width", [20, 200])
def test_a_training_shows_its_steps_and_scores(terminal, width):
    with terminal(TRAIN + "--steps 3", width=width) as screen:
        assert screen.end() == 0, screen.text
    shown = flowing(screen)
    for fact in ("training", "3/3", "step3holdout:delta1", "new/model.safetensors"):
        assert fact in shown
    assert "ETA" not in shown  # of three steps it means nothing


def test_a_training_that_is_interrupted_says_how_to_go_on_and_does(terminal):
    with terminal(TRAIN + "--steps 100000") as screen:
        screen.wait_for("training", "loss")
        screen.press(CTRL_C)
        screen.wait_for("saving and stopping after this step")
        assert screen.end() == 130
    assert "stopped; go on with: netadapt train --resume --out new" in screen.text
    assert "Traceback" not in screen.text
    with terminal("train --resume --out new") as screen:
        screen.wait_for("training", "loss")
        again = re.search(r"(\d+)/100000", screen.text)
        assert again is not None
        assert int(again[1]) > 0
        screen.press(CTRL_C + CTRL_C)
        assert screen.end() == 130


@pytest.mark.parametrize(("stage", "steps"), [("walking down", "short"), ("long-term", "long")])
def test_a_search_that_is_interrupted_says_how_to_go_on(terminal, stage, steps):
    with terminal(SEARCH.replace(f"--{steps}-steps 1", f"--{steps}-steps 400")) as screen:
        screen.wait_for(stage)
        screen.press(CTRL_C)
        assert screen.end() == 130
    assert "stopped; go on with: netadapt search --resume --out run" in flowing(screen, " ")
    assert "Traceback" not in flowing(screen)


def test_a_demo_that_is_interrupted_goes_on_by_demo(terminal):
    with terminal("demo") as screen:
        screen.wait_for("$ netadapt profile-lut")
        screen.press(CTRL_C + CTRL_C)
        assert screen.end() == 130
    shown = flowing(screen, " ")
    assert "stopped; go on with: netadapt demo" in shown


def test_a_profile_shows_its_stages(terminal):
    words = "profile-lut --model @small.safetensors --runtime torch --channel-multiple 16 --lut new"
    with terminal(words) as screen:
        assert screen.end() == 0, screen.text
    shown = flowing(screen, " ")
    for stage in ("workloads", "validation", "whole networks: error"):
        assert stage in shown


def test_where_nothing_can_be_drawn_a_search_is_told_in_lines(terminal):
    with terminal(SEARCH, environment={"TERM": "dumb"}) as screen:
        assert screen.end() == 0, screen.text
    assert ESCAPE not in screen.raw
    assert "iteration 1: uniform ->" in screen.text


def test_no_colour_is_used_where_none_is_wanted(terminal):
    with terminal(SEARCH, environment={"NO_COLOR": "1"}) as screen:
        assert screen.end() == 0, screen.text
    assert not re.search(rb"\x1b\[[0-9;]*3[0-7]", screen.raw)


def test_a_search_needs_no_stdin_and_takes_a_new_width(terminal):
    with terminal(SEARCH, stdin=False) as screen:
        screen.wait_for("front (1 point)")
        screen.resize(40)
        assert screen.end() == 0, screen.text
    assert "Traceback" not in flowing(screen)
