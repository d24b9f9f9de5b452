from collections.abc import Iterator
from pathlib import Path

import pytest
from browser import CHROMIUM, opened_browser
from lacking import lacking
from playwright.sync_api import Browser
from run_folders import MakeRun, write_run


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """Write a run folder of the given name under a temporary folder."""

    def make(name: str = "run", **options: object) -> Path:
        return write_run(tmp_path / name, **options)  # type: ignore[arg-type]

    return make


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One headless Chromium for all tests."""
    if CHROMIUM is None:
        lacking("chromium is not installed; run: apt-get install chromium")
    with opened_browser() as opened:
        yield opened
