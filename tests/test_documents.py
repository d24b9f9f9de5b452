"""What the documents say of the repository is so."""

import ast
import importlib
import re
import shlex
from collections.abc import Iterator
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

import typer.main

from netadapt.cli.main import app
from netadapt.search.settings import SearchSettings
from netadapt.training.settings import TrainConfig, TrainSettings

ROOT = Path(__file__).parents[1]
NAMED = re.compile(r"`((?:tests|netadapt|docs|benchmarks)/[\w./]+?\.(?:py|md))`")
BLOCK = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
DOTTED = re.compile(r"`(netadapt(?:\.\w+)+)(?:\(.*?\))?`")
OPTION = re.compile(r"`(--[a-z][\w-]*)")
GUIDES = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]
# words of other programs, and of ours that a reader is told no longer to use
FOREIGN = {
    "--build", "--exportProfile", "--exportLayerInfo", "--noTF32", "--fp16", "--bf16", "--int8",
}  # fmt: skip


def text(path: Path) -> str:
    return path.read_text("utf-8")


def blocks(language: str) -> Iterator[tuple[str, str]]:
    for path in GUIDES:
        for kind, body in BLOCK.findall(text(path)):
            if kind == language:
                yield path.name, body


def commands() -> Iterator[tuple[str, list[str]]]:
    """Every ``netadapt ...`` line of a code block, split into words."""
    for name, body in [*blocks(""), *blocks("sh"), *blocks("bash"), *blocks("console")]:
        for line in body.replace("\\\n", " ").splitlines():
            match = re.match(r"(?:\$ )?(?:\.venv/bin/)?netadapt (.+)", line.strip())
            if match and "…" not in line:
                yield name, shlex.split(match[1], comments=True)


@cache
def options_of(words: tuple[str, ...]) -> dict[str, bool]:
    """The options of a command, and whether each takes a value."""
    command: Any = typer.main.get_command(app)
    found = _options(command)
    for word in words:
        if word not in getattr(command, "commands", {}):
            break
        command = command.commands[word]
        found |= _options(command)
    return found


def _options(command: Any) -> dict[str, bool]:
    parameters = [one for one in command.params if one.param_type_name == "option"]
    given = {opt: not one.is_flag for one in parameters for opt in (*one.opts, *one.secondary_opts)}
    return {**given, "--help": False}


def test_files_that_are_named_exist() -> None:
    documents = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]
    named = {(path, name) for path in documents for name in NAMED.findall(text(path))}
    assert len(named) > 20
    missing = [f"{path.name}: {name}" for path, name in named if not (ROOT / name).exists()]
    assert missing == []


def test_commands_exist_and_have_the_options_that_are_shown() -> None:
    known = set(getattr(typer.main.get_command(app), "commands", {}))
    wrong, seen = [], 0
    for name, words in commands():
        first = next((word for word in words if not word.startswith("-")), None)
        if first is not None and first not in known:
            wrong.append(f"{name}: netadapt {' '.join(words)}")
            continue
        seen += 1
        options = options_of(tuple(words[:2]))
        given = [word.partition("=")[0] for word in words if word.startswith("--")]
        wrong += [f"{name}: netadapt {words[0]} {option}" for option in given
                  if option not in options]  # fmt: skip
    assert wrong == []
    assert seen > 20


def test_options_in_the_text_exist() -> None:
    root: Any = typer.main.get_command(app)
    paths: list[tuple[str, ...]] = [(name,) for name in root.commands]
    paths += [("lut", name) for name in root.commands["lut"].commands]
    known = {option for path in paths for option in options_of(path)} | FOREIGN
    wrong = {
        f"{path.name}: {option}"
        for path in GUIDES
        for option in OPTION.findall(text(path))
        if option not in known
    }
    assert wrong == set()


def test_names_in_the_text_resolve() -> None:
    named = {(path.name, name) for path in GUIDES for name in DOTTED.findall(text(path))}
    assert named
    assert [f"{path}: {name}" for path, name in named if not resolves(name)] == []


def resolves(name: str) -> bool:
    """Whether ``package.module.attribute`` is there."""
    parts = name.split(".")
    for end in range(len(parts), 0, -1):
        try:
            found: Any = importlib.import_module(".".join(parts[:end]))
        except ModuleNotFoundError:
            continue
        for part in parts[end:]:
            found = getattr(found, part, None)
        if found is not None:
            return True
    return False


def test_examples_in_python_use_what_is_there_and_public() -> None:
    wrong = []
    for name, body in blocks("python"):
        for node in ast.walk(ast.parse(body)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("netadapt"):
                wrong += [f"{name}: {node.module}.{alias.name}" for alias in node.names
                          if alias.name.startswith("_")
                          or not resolves(f"{node.module}.{alias.name}")]  # fmt: skip
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                ours = node.value.id == "netadapt"
                if ours and not resolves(f"netadapt.{node.attr}"):
                    wrong.append(f"{name}: netadapt.{node.attr}")
    assert wrong == []


def test_every_field_of_a_stored_file_is_documented() -> None:
    page = text(ROOT / "docs" / "formats.md")
    stored = [*SearchSettings.model_fields, *(field.name for field in fields(TrainConfig))]
    stored += [field.name for field in fields(TrainSettings)]
    assert [name for name in stored if f"`{name}`" not in page] == []
