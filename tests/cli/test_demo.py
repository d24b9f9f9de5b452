from contextlib import contextmanager
from typing import Any

import pytest
import torch
from typer.main import get_command

import netadapt
from netadapt.cli import main
from netadapt.cli.demo import BASE, demo
from netadapt.training import open_task


def test_the_network_that_comes_along_is_small_and_knows_rooms(tmp_path):
    assert len(BASE.read_bytes()) <= 8_000_000
    path = tmp_path / "rooms.safetensors"
    path.write_bytes(BASE.read_bytes())
    model = netadapt.load_model(path)
    assert model.spec.input_size == (96, 128)
    assert {value.dtype for value in model.parameters()} == {torch.float32}
    scores = open_task("depth", "synthetic:16", (96, 128)).score(model, "test")
    assert scores["delta1"] > 0.6


class Typed:
    """Stands for the command line: notes the commands, having checked that they can be typed."""

    def __init__(self, error=None):
        self.group: Any = get_command(main.app)
        self.words: list[list[str]] = []
        self.error = error
        self.command = self

    def find_root(self):
        return self

    @contextmanager
    def make_context(self, name, words):
        with self.group.make_context(name, list(words)) as context:
            command = self.group.get_command(context, words[0])
            command.make_context(words[0], list(words[1:]))  # refuses what it does not know
        self.words.append(words)
        yield self

    def invoke(self, context):
        if self.error is not None:
            raise self.error


def test_the_demo_types_commands_that_exist(tmp_path, capsys):
    typed: Any = Typed()
    out = tmp_path / "a demo"
    demo(typed, out)
    assert [words[0] for words in typed.words] == ["profile-lut", "search", "plot"]
    assert all(str(out) in " ".join(words) for words in typed.words)
    said = capsys.readouterr().err
    for name in ("samples.png", "front.png", "report.html"):
        assert str(out / "run") in said
        assert name in said


def test_an_interrupt_of_a_step_ends_the_demo_and_says_how_to_go_on(tmp_path, capsys):
    typed: Any = Typed(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        demo(typed, tmp_path)
    assert [words[0] for words in typed.words] == ["profile-lut"]
    said = capsys.readouterr().err
    assert said.endswith(f"stopped; go on with: netadapt demo --out {tmp_path}\n")
