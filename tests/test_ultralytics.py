"""docs/ultralytics.md, word by word, on a network of the same structure.

``benchmarks/ultralytics_recipe.py`` runs the page with ultralytics itself, which is no dependency.
"""

import importlib
import json
import re
import sys
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from quick_profile import BRIEFEST
from ultralytics_like import install

import netadapt
from netadapt.cli.main import main
from netadapt.profiling.runtimes.base import Runtime

PAGE = Path(__file__).parents[1] / "docs" / "ultralytics.md"
SMALL = {"320x320": "32x32", "320, 320": "32, 32"}
HURRY = {
    "train": ["--steps", "1", "--batch-size", "2"],
    "search": ["--short-steps", "1", "--long-steps", "1", "--long-points", "1"],
}


@pytest.fixture(scope="module")
def blocks() -> list[tuple[str, str]]:
    found = re.findall(r"```(\w*)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert [language for language, _ in found] == ["python", "", "python"]
    return found


def test_the_task_takes_about_30_lines(blocks: list[tuple[str, str]]) -> None:
    _, _, task = blocks[0][1].partition("class Boxes(Task)")
    assert len([line for line in task.splitlines() if line.strip()]) <= 32


@pytest.fixture
def page(blocks: list[tuple[str, str]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the page's module in it, where the commands run."""
    install(monkeypatch)
    (tmp_path / "yolo.py").write_text(blocks[0][1])
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "yolo", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_task_trains_what_was_pruned(page: Path) -> None:
    torch.manual_seed(0)
    yolo = importlib.import_module("yolo")
    task = yolo.Boxes(data="boxes.yaml", input_size=(32, 32))
    model = yolo.network().eval()
    prunable = netadapt.trace(model, torch.rand(1, 3, 32, 32))
    assert {name for name in prunable.locked if not name.startswith("model.6.")} == set()
    smaller = prunable.pruned({name: group.step for name, group in prunable.groups.items()})
    task.check(smaller)
    inputs, targets = task.train_batch(3, 2, 0)
    again, _ = task.train_batch(3, 2, 0)
    assert torch.equal(inputs, again)
    loss = task.loss(smaller.train(), inputs, targets)
    loss.backward()
    assert all(p.grad is not None for p in smaller.parameters() if p.requires_grad)
    before = task.score(smaller, "holdout")
    assert smaller.training
    assert before == task.score(smaller, "holdout")
    optimizer = torch.optim.SGD([p for p in smaller.parameters() if p.requires_grad], lr=1e-3)
    optimizer.step()
    assert task.score(smaller, "holdout") != before


@pytest.mark.slow
def test_the_python_of_the_page_exports_boxes_and_scores(
    blocks: list[tuple[str, str]], page: Path
) -> None:
    exec(compile(replaced(blocks[2][1], SMALL), "page", "exec"), {})
    session = onnxruntime.InferenceSession("smaller.onnx", providers=["CPUExecutionProvider"])
    (answer,) = session.run(None, {session.get_inputs()[0].name: np.zeros((1, 3, 32, 32), "f4")})
    assert answer.shape == (1, 4 + 3, 8 * 8 + 4 * 4)


@pytest.mark.slow
def test_the_page_leads_from_a_yaml_to_a_pruned_detector(
    blocks: list[tuple[str, str]],
    page: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("NETADAPT_TRUST", "yolo")
    monkeypatch.setattr(Runtime, "schedule", BRIEFEST)
    known = dict(SMALL)
    for command in blocks[1][1].splitlines():
        words = replaced(command, known).split()
        monkeypatch.setattr(sys, "argv", [*words, *HURRY.get(words[1], [])])
        with pytest.raises(SystemExit) as ended:
            main()
        printed = capsys.readouterr()
        assert ended.value.code == 0, f"{' '.join(words)}\n{printed.err}"
        if words[1] == "profile-lut":
            table = next((page / "work/lut").iterdir())
            of_another_board(table)
            known |= {"SLUG": table.name, "MS": f"{0.98 * base_ms(table):.5f}"}
        elif words[1] == "search":
            known["FINAL"] = re.findall(r"checkpoints/\S+\.safetensors", printed.out + printed.err)[
                -1
            ]
    assert Path("yolo.onnx").exists()


def of_another_board(table: Path) -> None:
    """Let nothing be measured: a clock that counts microseconds is no test."""
    target = json.loads((table / "target.json").read_text())
    (table / "target.json").write_text(json.dumps(target | {"hardware": "another board"}))


def replaced(text: str, known: dict[str, str]) -> str:
    for name, value in known.items():
        text = text.replace(name, value)
    return text


def base_ms(table: Path) -> float:
    model = netadapt.load_model("work/base/model.safetensors", factory="yolo:network")
    prunable = netadapt.trace(model, torch.rand(1, 3, 32, 32))
    return netadapt.LatencyPredictor(prunable, netadapt.LatencyTable.load(table))({})
