"""What the documents say of the repository is so."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
NAMED = re.compile(r"`((?:tests|netadapt|docs|benchmarks)/[\w./]+?\.(?:py|md))`")


def test_files_that_are_named_exist():
    documents = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")]
    named = {(path, name) for path in documents for name in NAMED.findall(path.read_text("utf-8"))}
    assert len(named) > 20
    missing = [f"{path.name}: {name}" for path, name in named if not (ROOT / name).exists()]
    assert missing == []
