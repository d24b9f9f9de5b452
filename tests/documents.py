"""The documents as the tests read them: blocks, commands, what they quote, what stands for what."""

import ast
import re
import shlex
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[1]
BLOCK = re.compile(r"^ *```(\w*)\n(.*?)^ *```", re.MULTILINE | re.DOTALL)
INLINE = re.compile(r"`([^`]+)`")
PROGRAMS = (
    "netadapt", "make", "pip", "python", "python3", "ssh", "tensorboard",
    "sudo", "uname", "nvidia-smi", "scp", "cat", "export", "echo", "vcgencmd", "ssh-copy-id",
    "~/netadapt/bin/python",
)  # fmt: skip
GAP = "\0"  # where a message has a value


@dataclass(frozen=True)
class Block:
    """A fenced block of a page; ``language`` is empty for commands and for what they print."""

    page: str
    language: str
    text: str

    @property
    def commands(self) -> list[list[str]]:
        """Its commands, split into words."""
        lines = self.text.replace("\\\n", " ").splitlines()
        words = [line.strip().removeprefix(".venv/bin/") for line in lines]
        return [
            shlex.split(line, comments=True)
            for line in words
            if line.split(" ")[0] in PROGRAMS and self.language == ""
        ]


def pages() -> list[Path]:
    return [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]


def blocks(page: Path) -> Iterator[Block]:
    for language, text in BLOCK.findall(page.read_text("utf-8")):
        yield Block(page.name, language, textwrap.dedent(text))


def inline(page: Path) -> list[str]:
    """What stands between single backticks, line breaks undone."""
    text = BLOCK.sub("", page.read_text("utf-8"))
    return [" ".join(quote.split()) for quote in INLINE.findall(text)]


@cache
def messages() -> tuple[str, ...]:
    """Every text in the source that could be printed, with a gap for each value."""
    found: set[str] = set()
    for path in ROOT.glob("netadapt/**/*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.JoinedStr | ast.Constant):
                found.add(" ".join(_skeleton(node).split(" ")))
    return tuple(text for text in found if len(re.sub(r"[^A-Za-z]", "", text)) >= 8)


def _skeleton(node: ast.expr) -> str:
    if isinstance(node, ast.JoinedStr):
        return "".join(map(_skeleton, node.values))
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    return GAP


def printed_by_source(quote: str) -> bool:
    """Whether a message of the source is what ``quote`` says, gaps and ellipses being values."""
    asked = re.compile(r".*".join(map(re.escape, re.split(r"…|\.\.\.", quote))))
    for text in messages():
        if asked.search(text):
            return True
        if GAP in text:
            known = ".+".join(map(re.escape, text.split(GAP)))
            if re.search(known, quote) and len(text) > len(quote) / 3:
                return True
    return False


def pattern_of(line: str) -> re.Pattern[str]:
    """What a printed line must look like: numbers and ellipses are values, blanks may differ."""
    words = []
    for word in line.split():
        parts = re.split(r"[\d.]*\d[\d.x…]*|…|\.\.\.", word)
        words.append(r"\S*".join(map(re.escape, parts)))
    return re.compile(r"\s+".join(words))
