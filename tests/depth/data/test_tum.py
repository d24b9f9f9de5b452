import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from netadapt.depth.data import open_data, open_sequences
from netadapt.depth.data.tum import MAX_APART_S, associate
from netadapt.errors import UserError

SIZE = (16, 16)


@pytest.fixture
def sequence(tmp_path: Path) -> Path:
    """Twelve photographs at 10 Hz, and depth images 4 ms later but for the last two."""
    rgb, depth = ["# colour"], ["# depth"]
    for number in range(12):
        Image.new("RGB", (32, 24), (number, 0, 0)).save(tmp_path / f"{number}.jpg")
        rgb.append(f"{number / 10:.4f} {number}.jpg")
        if number < 10:
            metres = np.full((24, 32), 5000 + 100 * number, np.uint16)
            Image.fromarray(metres).save(tmp_path / f"{number}.png")
            depth.append(f"{number / 10 + 0.004:.4f} {number}.png")
    (tmp_path / "rgb.txt").write_text("\n".join(rgb))
    (tmp_path / "depth.txt").write_text("\n".join(depth))
    return tmp_path


def test_frames_are_paired_by_time_and_scaled(sequence: Path) -> None:
    data = open_data(f"tum:{sequence}", SIZE)
    seen = {}
    for split in (data.train, data.holdout, data.test):
        for index in range(len(split)):
            seen[Path(split.name(index)).stem] = float(split.evaluation_example(index)[1].mean())
    assert sorted(seen, key=int) == [str(number) for number in range(10)]
    for stem, metres in seen.items():
        assert metres == pytest.approx(1 + 0.02 * int(stem))


@given(
    st.lists(st.floats(0, 1), max_size=12, unique=True),
    st.lists(st.floats(0, 1), max_size=12, unique=True),
)
def test_association_takes_the_closest_pairs_first(first: list[float], second: list[float]) -> None:
    first, second = sorted(first), sorted(second)
    gaps = sorted(
        (abs(a - b), i, j)
        for i, a in enumerate(first)
        for j, b in enumerate(second)
        if abs(a - b) <= MAX_APART_S
    )
    expected: list[tuple[int, int]] = []
    for _, i, j in gaps:
        if all(i != p and j != q for p, q in expected):
            expected.append((i, j))
    assert associate(np.array(first), np.array(second)) == sorted(expected)


@pytest.mark.parametrize("line", ["word file.png", "0.5", "nan 0.png"])
def test_a_broken_line_is_named(sequence: Path, line: str) -> None:
    (sequence / "depth.txt").write_text(f"# depth\n{line}\n")
    with pytest.raises(UserError, match=r"depth\.txt line 2: "):
        open_data(f"tum:{sequence}", SIZE)


def test_a_missing_frame_is_named(sequence: Path) -> None:
    (sequence / "3.png").unlink()
    with pytest.raises(UserError, match=r"3\.png does not exist"):
        open_data(f"tum:{sequence}", SIZE)


def test_a_missing_list_is_named(sequence: Path) -> None:
    (sequence / "rgb.txt").unlink()
    with pytest.raises(UserError, match=r"rgb\.txt does not exist"):
        open_data(f"tum:{sequence}", SIZE)


def test_lists_that_never_meet_are_an_error(sequence: Path) -> None:
    (sequence / "depth.txt").write_text("100.0 0.png\n")
    with pytest.raises(UserError, match="no timestamps"):
        open_data(f"tum:{sequence}", SIZE)


def test_triplets_are_photographs_in_a_row(sequence: Path) -> None:
    camera = {"width": 32, "height": 24, "fx": 30, "fy": 31, "cx": 15, "cy": 12}
    (sequence / "camera.json").write_text(json.dumps(camera))
    for number in range(12, 60):
        Image.new("RGB", (32, 24), (number, 0, 0)).save(sequence / f"{number}.png")
        with open(sequence / "rgb.txt", "a") as listing:
            listing.write(f"\n{number / 10:.4f} {number}.png")
    train = open_sequences(f"tum:{sequence}", (24, 32)).train
    for index in range(len(train)):
        number = int(Path(train.name(index)).stem)
        target, sources, intrinsics, depth = train.evaluation_example(index)
        for image, expected in zip(
            (*sources, target), (number - 1, number + 1, number), strict=True
        ):
            assert np.allclose(image[0] * 255, expected, atol=2)  # the first of them are jpegs
        assert intrinsics[0, 0] == 30
        assert np.allclose(depth, 1 + 0.02 * number if number < 10 else 0)


def test_triplets_need_a_camera(sequence: Path) -> None:
    with pytest.raises(UserError, match=r"camera\.json does not exist; write it"):
        open_sequences(f"tum:{sequence}", SIZE)


def test_the_real_cabinet_is_read(nyu: Path) -> None:
    data = open_data(f"tum:{nyu.parent / 'tum_fr3_cabinet'}", (64, 80))
    assert len(data.train) + len(data.holdout) + len(data.test) == 58
    depth = data.test.evaluation_example(0)[1]
    assert 0.5 < np.median(depth[depth > 0]) < 5
