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


def test_the_demo_types_commands_that_exist(tmp_path, monkeypatch, capsys):
    group, typed = get_command(main.app), []

    def parsed(words, standalone_mode):
        context = group.make_context("netadapt", list(words))
        command = group.get_command(context, words[0])
        command.make_context(words[0], list(words[1:]))  # refuses what it does not know
        typed.append(words)

    monkeypatch.setattr(main, "app", parsed)
    out = tmp_path / "a demo"
    demo(out)
    assert [words[0] for words in typed] == ["profile-lut", "search", "plot"]
    assert all(str(out) in " ".join(words) for words in typed)
    said = capsys.readouterr().err
    for name in ("samples.png", "front.png", "report.html"):
        assert str(out / "run") in said
        assert name in said


def test_an_interrupt_of_a_step_ends_the_demo(tmp_path, monkeypatch):
    monkeypatch.setattr(main, "app", lambda words, standalone_mode: main.INTERRUPTED)
    with pytest.raises(KeyboardInterrupt):
        demo(tmp_path)
