"""Runs docs/ultralytics.md, word by word, where ultralytics is installed.

python benchmarks/ultralytics_recipe.py [--out work/ultralytics] [--size 64] [--steps 20]
    [--yaml yolov8n.yaml]

Writes ``yolo.py`` from the page, draws a few images of boxes, and runs the page's commands on them:
as small and as short as asked for, so that it is over in minutes. Then the page's Python. Ends with
an error if a command does. ultralytics (AGPL-3.0) is no dependency of netadapt.
"""

import argparse
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image

PAGE = Path(__file__).parents[1] / "docs" / "ultralytics.md"
COUNTS = {"train": 8, "val": 3, "test": 3}
COLOURS = ((220, 40, 40), (40, 220, 40), (40, 40, 220))  # one for each class


def main() -> None:
    """Write the page's module and data into a folder, and run the page there."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("work/ultralytics"))
    parser.add_argument("--size", type=int, default=64)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--yaml", default="yolov8n.yaml")
    given = parser.parse_args()
    folder = given.out.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    code, commands, python = blocks()
    (folder / "yolo.py").write_text(code.replace("yolov8n.yaml", given.yaml))
    draw_data(folder, given.size)
    known = {"320x320": f"{given.size}x{given.size}", "320, 320": f"{given.size}, {given.size}"}
    shorter = {"--steps": str(given.steps), "--long-steps": "2", "--batch-size": "4"}
    for command in commands.splitlines():
        for name, value in known.items():
            command = command.replace(name, value)
        words = command.split()
        for name, value in shorter.items():
            if name in words:
                words[words.index(name) + 1] = value
        if words[1] == "search":
            words += ["--short-steps", "1", "--initial-reduction", "0.2"]
        printed = run(words, folder)
        if words[1] == "profile-lut":
            table = next((folder / "work" / "lut").iterdir())
            known |= {"SLUG": table.name, "MS": f"{0.8 * base_ms(folder, table):.3f}"}
        elif words[1] == "search":
            known["FINAL"] = re.findall(r"checkpoints/\S+\.safetensors", printed)[-1]
    for name, value in known.items():
        python = python.replace(name, value)
    run([sys.executable, "-c", python], folder)


def blocks() -> tuple[str, str, str]:
    """Return the page's module, its commands and its Python."""
    found = re.findall(r"```(\w*)\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert [language for language, _ in found] == ["python", "", "python"]
    return found[0][1], found[1][1], found[2][1]


def run(words: list[str], folder: Path) -> str:
    """Run a command in ``folder``; show and return what it prints."""
    print("$", " ".join(words) if words[0] != sys.executable else "python", flush=True)
    if words[0] == "netadapt":
        words = [sys.executable, "-m", *words]
    paths = [str(folder), str(PAGE.parents[1]), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True)
    print(done.stdout[-3000:], done.stderr[-1500:], flush=True)
    if done.returncode:
        raise SystemExit(f"failed with {done.returncode}")
    return done.stdout + done.stderr


def base_ms(folder: Path, table: Path) -> float:
    """What the table predicts for the whole network, in ms."""
    script = (
        "import netadapt, torch; netadapt.trust('yolo'); "
        "model = netadapt.load_model('work/base/model.safetensors'); "
        "prunable = netadapt.trace(model, torch.rand(1, 3, *model.spec.input_size)); "
        f"table = netadapt.LatencyTable.load({str(table)!r}); "
        "print(netadapt.LatencyPredictor(prunable, table)({}))"
    )
    return float(run([sys.executable, "-c", script], folder).split()[-1])


def draw_data(folder: Path, size: int) -> None:
    """Write images with a coloured rectangle each, their labels, and ``boxes.yaml``."""
    random = np.random.default_rng(0)
    for split, count in COUNTS.items():
        for kind in ("images", "labels"):
            (folder / "data" / kind / split).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            colour = int(random.integers(len(COLOURS)))
            x, y = random.uniform(0.3, 0.7, 2)
            width, height = random.uniform(0.2, 0.5, 2)
            pixels = random.integers(0, 60, (size, size, 3), dtype=np.uint8)
            rows, columns = (
                slice(int((middle - side / 2) * size), int((middle + side / 2) * size))
                for middle, side in ((y, height), (x, width))
            )
            pixels[rows, columns] = COLOURS[colour]
            name = folder / "data" / "images" / split / f"{number:02d}.png"
            Image.fromarray(pixels).save(name)
            label = folder / "data" / "labels" / split / f"{number:02d}.txt"
            label.write_text(f"{colour} {x:.4f} {y:.4f} {width:.4f} {height:.4f}\n")
    lines = [f"path: {folder / 'data'}", *(f"{split}: images/{split}" for split in COUNTS)]
    names = ", ".join(f"{place}: colour{place}" for place in range(len(COLOURS)))
    (folder / "boxes.yaml").write_text("\n".join([*lines, f"names: {{{names}}}", ""]))


if __name__ == "__main__":
    main()
