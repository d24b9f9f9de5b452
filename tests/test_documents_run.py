"""Every command and example of the documents runs, and what they quote is printed.

Each runs as it is written, but on small data and for one step: ``STANDS_FOR`` says what takes the
place of what. Those that need a board, a GPU or hours are only parsed, and listed with the reason.
"""

import contextlib
import io
import re
import shutil
import sys
import tomllib
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import typer.main
from cli_networks import Small
from documents import PROGRAMS, ROOT, blocks, inline, pages, pattern_of, printed_by_source
from quick_profile import BRIEF

import netadapt
from netadapt.cli.main import app, main
from netadapt.profiling.runtimes.base import Runtime

BASE = "base.safetensors"
# what a page says, and what runs in its place; the first that fits a word's beginning counts
STANDS_FOR = {
    r"(CHECKPOINT|FINAL|BASE|C)$": BASE,
    r"(work|runs|training)/\S*/model\.safetensors$": BASE,
    r"search_runs/\S+/checkpoints/\S+": BASE,
    r"(DATA|D|synthetic(:\d+)?|(pairs|nyu|kitti|sequence|tum):\S+)$": "pairs:my-data",
    r"(lut|work/lut/NAME)/(?!PI$|JETSON$)\S+|SLUG$": "lut/SLUG",
    r"(B|MS)$": "150",
    r"(\d+x\d+|HxW)$": "32x32",
    r"openvino$": "onnxruntime",
}
SHORT = {
    "--steps": "1",
    "--short-steps": "1",
    "--long-steps": "1",
    "--long-points": "1",
    "--batch-size": "2",
    "--eval-every": "1",
    "--budget-ms": "150",
    "--speedup": "1.2",
}
HURRY = ("--short-steps", "--long-steps", "--long-points")  # of every search
# what is parsed only, and why
PARSED = {
    r"ssh://": "needs a board; tests/profiling/test_ssh.py has one",
    r"--devices ": "needs boards; tests/profiling/test_fleet.py has some",
    r"--import ": "needs the results of a board; tests/profiling/test_bundle.py has some",
    r"--watch ": "serves until it is interrupted; tests/report/test_page_server.py reads it",
    r"--model (monodepth2|densedepth|lapdepth|fastdepth-timm) ": "takes hours, and much memory",
    r"--train-on cuda|--runtime tensorrt": "needs a GPU",
    r"--input-sizes ": "needs a table of all sizes; tests/search has one",
    r"--qat |SLUG-WITH-INT8": "needs an int8 table; tests/search/test_deployed.py has one",
    r"profile-lut .*--precision int8": "not every processor has int8; tests/profiling does",
    r"--runtime (all|NAME)": "takes minutes, or is the reader's own",
    r"lut validate": "needs the device of the table; tests/profiling/test_profiler.py has it",
    r"benchmark depth\.onnx": "the file is int8 by then: not every processor runs it",
    r"timm\.models": "the same command with the network of the page runs before it",
}
# words between backticks that say what is meant, not a value: such commands are parsed only
TEMPLATE = {"A", "B", "C", "NAME", "DIR", "RUN", "MODEL", "HxW"}
ELSEWHERE = {
    "own_network.md": "tests/test_own_network.py",
    "ultralytics.md": "tests/test_ultralytics.py",
}
# blocks that are not printed: folders, formulas, pseudocode
NOT_PRINTED = re.compile(r"DIR/|my-data/|network_ms = |while latency of ")
# texts between backticks that are not printed, though they read like a message
NOT_MESSAGES = {"fisher, large steps"}
IN_PYTHON = {
    r"netadapt\.LatencyTable\.load\(\"lut/SLUG\"\)": 'netadapt.LatencyTable.load("lut/HERE")',
    r"(short|long)_steps=\d+,": "",
    r"budget_ms=[\d.]+": "budget_ms=150, short_steps=1, long_steps=1",
    r"\"(nyu|sequence):\S+?\"": '"synthetic:16"',
    r"(?<=[(\s])\"(fastdepth|work/\S+/model\.safetensors)\"": f'"{BASE}"',
    r" steps=\d+": " steps=1, batch_size=2",
    r"224, 224|192, 640": "32, 32",
    r"\"(conv13\.3|layer1\.0\.conv1)\": \d+": '"first": 8',
}


@dataclass
class Outcome:
    """What a page's commands printed, and what went wrong."""

    printed: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    run: int = 0


def stand_in(words: list[str]) -> list[str]:
    """Return the command that runs in place of ``words``."""
    found: list[str] = []
    for before, word in zip(["", *words], words, strict=False):
        new = next((with_ for what, with_ in STANDS_FOR.items() if re.match(what, word)), word)
        if before == "--model" and word == "fastdepth" and "--init-from" not in words:
            new = BASE
        if before == "--precision" and words[1] in ("train", "profile-lut"):
            new = "fp32"
        found.append(SHORT.get(before, new))
    if words[1] == "search" and "--resume" not in words:
        found += [part for name in HURRY if name not in words for part in (name, "1")]
    return found


@pytest.fixture(scope="module")
def desk(stock, tmp_path_factory) -> Path:
    """A folder with all that the pages speak of."""
    folder = tmp_path_factory.mktemp("desk")
    shutil.copy(stock / "small.safetensors", folder / BASE)
    shutil.copytree(stock / "pairs", folder / "my-data")
    for name in ("SLUG", "PI", "JETSON"):
        shutil.copytree(stock / "lut/board", folder / "lut" / name)
    shutil.copytree(stock / "lut/made-up", folder / "lut/HERE")
    for name in ("mine", "other", "one", "two", "three", "fastdepth-nyu"):
        shutil.copytree(stock / "run", folder / "search_runs" / name)
    for name in ("photo.jpg", "photo1.jpg", "photo2.jpg"):
        shutil.copy(stock / "photo.jpg", folder / name)
    netadapt.save_checkpoint(
        netadapt.load_model("fastdepth"), folder / "mobilenetv1_imagenet.safetensors"
    )
    return folder


@pytest.fixture(scope="module")
def outcomes(desk) -> dict[str, Outcome]:
    """Run everything, page after page, in one folder; a command is run once."""
    done: set[str] = set()
    found = {page.name: Outcome() for page in pages()}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(desk)
        patch.setenv("NETADAPT_TRUST", "cli_networks")
        patch.setattr(sys, "path", [str(desk), str(ROOT / "tests/cli"), *sys.path])
        patch.setattr(Runtime, "schedule", replace(BRIEF, refinements=1))
        for page in pages():
            if page.name not in ELSEWHERE:
                run_page(page, found[page.name], done, patch)
        of_fastdepth = ["netadapt", "info", "fastdepth", "--input-size", "64x64"]
        patch.setattr(sys, "argv", of_fastdepth)  # whose groups the walkthrough shows
        with printing(found["walkthrough.md"]), contextlib.suppress(SystemExit):
            main()
    return found


def run_page(page: Path, outcome: Outcome, done: set[str], patch: pytest.MonkeyPatch) -> None:
    names = {
        "netadapt": netadapt, "torch": torch, "rng": np.random.default_rng(0),
        "rows": np.array([[16], [8]]), "model": Small(),
    }  # fmt: skip
    for block in blocks(page):
        if block.language == "python":
            run_python(block.text, outcome, names)
        for words in block.commands:
            if words[0] == "netadapt" and "…" not in " ".join(words):
                run_command(words, outcome, done, patch)
    for text in inline(page):
        words = text.replace(" [--json]", " --json").split()
        if words[0] != "netadapt" or "…" in text or not command_of(words[1:])[1]:
            continue  # the name of a command alone
        if TEMPLATE & set(words):
            parse(words, outcome)
        else:
            run_command(words, outcome, done, patch)


def run_command(
    words: list[str], outcome: Outcome, done: set[str], patch: pytest.MonkeyPatch
) -> None:
    line = " ".join(words)
    if any(re.search(what, line) for what in PARSED):
        parse(words, outcome)
        return
    words = stand_in(words)
    if " ".join(words) in done:
        return
    done.add(" ".join(words))
    if "--out" in words and "--resume" not in words and words[1] in ("train", "search"):
        shutil.rmtree(words[words.index("--out") + 1], ignore_errors=True)
    patch.setattr(sys, "argv", words)
    with printing(outcome), pytest.raises(SystemExit) as end:
        main()
    outcome.run += 1
    if end.value.code != 0:
        outcome.failed.append(f"{line}\n  as {' '.join(words)}\n  {outcome.printed[-1]}")


def command_of(words: list[str]) -> tuple[typer.core.TyperCommand, list[str]]:
    """Return the command that ``words`` name, and the words behind its name."""
    command: Any = typer.main.get_command(app)
    while words and words[0] in getattr(command, "commands", {}):
        command, words = command.commands[words[0]], words[1:]
    return command, words


def parse(words: list[str], outcome: Outcome) -> None:
    """Let Typer read a command without running it; required options may be left out."""
    command, rest = command_of(stand_in([*words])[1:])
    try:
        command.make_context("netadapt", rest)
    except Exception as error:  # whatever Typer refuses
        if "Missing" not in type(error).__name__:
            outcome.failed.append(f"{' '.join(words)}: {type(error).__name__} {error}")


def run_python(code: str, outcome: Outcome, names: dict[str, object]) -> None:
    title = re.match(r"\"\"\"(\S+\.py)\"\"\"|# (\S+\.py)\n", code)
    if title:
        path = Path(title[1] or title[2])
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"from cli_networks import Small as SmallDepthNet\n{code}")
        return
    for what, with_ in IN_PYTHON.items():
        code = re.sub(what, with_, code)
    for folder in re.findall(r"out=\"(\S+)\"", code):
        shutil.rmtree(folder, ignore_errors=True)
    try:
        with printing(outcome):
            exec(compile(code, "example", "exec"), names)
    except Exception as error:
        outcome.failed.append(f"{code}\n{type(error).__name__}: {error}")
    outcome.run += 1


@contextlib.contextmanager
def printing(outcome: Outcome):
    """Note what is printed."""
    out, err = io.StringIO(), io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            yield
    finally:
        outcome.printed += [*out.getvalue().splitlines(), *err.getvalue().splitlines()]


@pytest.mark.parametrize("page", [page.name for page in pages()])
def test_what_a_page_shows_runs(outcomes, page):
    assert outcomes[page].failed == []


@pytest.mark.parametrize("page", [page.name for page in pages()])
def test_what_a_page_quotes_is_printed(outcomes, page):
    printed = [line for outcome in outcomes.values() for line in outcome.printed]
    path = next(path for path in pages() if path.name == page)
    quoted = [
        line
        for block in blocks(path)
        if not block.language and not block.commands and not NOT_PRINTED.match(block.text)
        for line in block.text.splitlines()
        if line.strip() not in ("…", "...")
    ]
    quoted = [re.sub(r",? +ETA .*", "", line) for line in quoted]  # of long runs only
    quoted += [text for text in inline(path) if is_message(text)]
    missing = [
        quote
        for quote in quoted
        if not any(pattern_of(quote).search(line) for line in printed)
        and not printed_by_source(quote)
    ]
    assert not missing, "\n".join(missing)


def is_message(text: str) -> bool:
    """Whether a text between backticks reads like a line that a command prints."""
    words = text.split()
    if words[0] in PROGRAMS or text in NOT_MESSAGES:
        return False
    if text.startswith(("-", "benchmarks/")) or re.search(r"[=()*{}]", text):
        return False  # options, code
    return len(words) >= 2 and ("…" in text or "..." in text or len(words) >= 4)


def test_most_of_what_is_shown_runs(outcomes):
    assert sum(outcome.run for outcome in outcomes.values()) > 40


def test_what_is_only_parsed_is_in_a_page():
    lines = [" ".join(words) for page in pages() for block in blocks(page)
             for words in block.commands]  # fmt: skip
    lines += [text for page in pages() for text in inline(page)]
    assert [what for what in PARSED if not any(re.search(what, line) for line in lines)] == []


def test_other_programs_are_asked_for_what_is_there():
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for page in pages():
        for block in blocks(page):
            for words in block.commands:
                if words[0] == "make":
                    assert set(words[1:]) <= targets, words
                if words[:2] == ["pip", "install"] and "netadapt" in words[2]:
                    extra = words[2].partition("[")[2].rstrip("]")
                    assert extra in extras["optional-dependencies"], words
                if words[0] == "python":
                    assert (ROOT / words[1]).is_file(), words
