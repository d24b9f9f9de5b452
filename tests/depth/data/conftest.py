from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

WriteFrame = Callable[..., None]


def photo(seed: int, size: tuple[int, int] = (24, 32)) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


def millimetres(seed: int, size: tuple[int, int] = (24, 32)) -> np.ndarray:
    return np.random.default_rng(seed).integers(700, 10000, size, dtype=np.uint16)


@pytest.fixture
def write_pair() -> WriteFrame:
    """Write ``rgb/STEM.png`` and ``depth/STEM.png`` under a folder."""

    def write(
        folder: Path,
        stem: str,
        rgb: np.ndarray | None = None,
        depth: np.ndarray | None = None,
    ) -> None:
        seed = sum(map(ord, stem))
        for name in ("rgb", "depth"):
            (folder / name).mkdir(parents=True, exist_ok=True)
        Image.fromarray(photo(seed) if rgb is None else rgb).save(folder / "rgb" / f"{stem}.png")
        Image.fromarray(millimetres(seed) if depth is None else depth).save(
            folder / "depth" / f"{stem}.png"
        )

    return write


@pytest.fixture
def pairs(tmp_path: Path, write_pair: WriteFrame) -> Path:
    """Twenty frames without scenes."""
    for number in range(20):
        write_pair(tmp_path / "pairs", f"{number:03d}")
    return tmp_path / "pairs"


@pytest.fixture
def write_h5() -> WriteFrame:
    """Write one frame of the fast-depth layout."""

    def write(path: Path, rgb: np.ndarray | None = None, depth: np.ndarray | None = None) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        seed = sum(map(ord, str(path.name)))
        with h5py.File(path, "w") as file:
            file["rgb"] = photo(seed).transpose(2, 0, 1) if rgb is None else rgb
            file["depth"] = millimetres(seed).astype(np.float32) / 1000 if depth is None else depth

    return write
