"""Every command on a real terminal: what a person sees, of any width."""

import pytest
from test_search_screen import flowing

QUICK = {
    "info": ("info @run", "front", 20),
    "lut show": ("lut show @lut/made-up", "workloads", 20),
    "lut list": ("lut list --lut @lut", "made-up", 200),
    "plot": ("plot @run --out front.png", "front.png", 20),
    "evaluate": ("evaluate @tiny.safetensors --data pairs:@pairs", "delta1", 20),
    "predict": ("predict @tiny.safetensors @photo.jpg --out maps", "maps/photo-depth.png", 20),
}


@pytest.mark.parametrize("command", QUICK)
def test_a_command_prints_its_answer(terminal, command):
    words, answer, width = QUICK[command]
    with terminal(words, width=width) as screen:
        assert screen.end() == 0, screen.text
    shown = flowing(screen)
    assert answer in shown
    assert "Traceback" not in shown
