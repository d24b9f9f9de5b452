"""Files that hold what is printed or generated; ``OVERWRITE_GOLDEN=1`` makes them anew."""

import os
from pathlib import Path


def assert_golden(path: Path, text: str) -> None:
    """Compare ``text`` with the file, or write it there."""
    if "OVERWRITE_GOLDEN" in os.environ:
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    assert text == path.read_text(encoding="utf-8"), f"run with OVERWRITE_GOLDEN=1: {path.name}"
