from pathlib import Path

import pytest
from run_folders import MakeRun, write_run


@pytest.fixture
def make_run(tmp_path: Path) -> MakeRun:
    """Write a run folder of the given name under a temporary folder."""

    def make(name: str = "run", **options: object) -> Path:
        return write_run(tmp_path / name, **options)  # type: ignore[arg-type]

    return make
