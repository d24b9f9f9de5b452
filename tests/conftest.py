from pathlib import Path

import pytest

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def nyu() -> Path:
    """The real NYU Depth V2 frames beside the checkout."""
    folder = SHARED_DATA / "nyu"
    if not folder.is_dir():
        pytest.skip(f"the NYU frames are not at {folder}")
    return folder
