from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest
from scipy.io import savemat

from netadapt.depth.data import DepthData, open_data
from netadapt.errors import UserError

SIZE = (16, 16)
WriteH5 = Callable[..., None]


def stems(data: DepthData, split: str) -> set[str]:
    dataset = getattr(data, split)
    return {dataset.name(index).rsplit("/", 2)[-2] for index in range(len(dataset))}


@pytest.fixture
def layout(tmp_path: Path, write_h5: WriteH5) -> Path:
    """Five scenes, one of them recorded in two pieces."""
    for scene in (
        "attic_0001a",
        "attic_0001b",
        "bath_0002",
        "cave_0003",
        "den_0004",
        "eatery_0005",
    ):
        for number in range(4):
            write_h5(tmp_path / "nyu" / "train" / scene / f"{number:05d}.h5")
    for number in range(3):
        write_h5(tmp_path / "nyu" / "val" / "official" / f"{number:05d}.h5")
    return tmp_path / "nyu"


def test_the_h5_layout_is_read(layout: Path) -> None:
    data = open_data(f"nyu:{layout}", SIZE)
    assert len(data.test) == 3
    assert len(data.train) + len(data.holdout) == 24
    rgb, depth = data.test.evaluation_example(0)
    with h5py.File(data.test.name(0)) as file:
        assert np.isin(depth, file["depth"][()]).all()
        assert abs(rgb.mean() * 255 - file["rgb"][()].mean()) < 10


def test_pieces_of_one_recording_stay_together(layout: Path) -> None:
    for seed in range(12):
        data = open_data(f"nyu:{layout}", SIZE, holdout_fraction=0.4, seed=seed)
        train, holdout = stems(data, "train"), stems(data, "holdout")
        assert holdout
        assert not train & holdout
        assert ("attic_0001a" in holdout) == ("attic_0001b" in holdout)


def test_without_val_a_test_split_is_cut_by_scene(layout: Path) -> None:
    for path in (layout / "val" / "official").iterdir():
        path.unlink()
    data = open_data(f"nyu:{layout}", SIZE)
    assert len(data.test) == 4
    assert not stems(data, "test") & (stems(data, "train") | stems(data, "holdout"))


def test_the_pairs_layout_is_pointed_out(tmp_path: Path) -> None:
    (tmp_path / "train" / "rgb").mkdir(parents=True)
    with pytest.raises(UserError, match=r"no h5 files in .*; use pairs:"):
        open_data(f"nyu:{tmp_path}", SIZE)


@pytest.mark.parametrize(
    ("rgb", "depth", "message"),
    [
        (np.zeros((3, 8, 9), np.float32), None, r"rgb is float32 \(3, 8, 9\); expected uint8"),
        (np.zeros((8, 9, 3), np.uint8), None, r"rgb is uint8 \(8, 9, 3\); expected"),
        (None, np.zeros((24, 32), np.uint16), r"depth is uint16 .*expected float32"),
        (None, np.ones((1, 24, 32), np.float32), r"depth is float32 \(1, 24, 32\); expected"),
        (None, np.ones((12, 16), np.float32), r"rgb is \(24, 32\) but depth \(12, 16\)"),
        (None, np.full((24, 32), -1, np.float32), r"depth -1 m is negative"),
    ],
)
def test_wrong_contents_are_named(
    layout: Path, write_h5: WriteH5, rgb: np.ndarray, depth: np.ndarray, message: str
) -> None:
    path = layout / "val" / "official" / "00000.h5"
    write_h5(path, rgb=rgb, depth=depth)
    with pytest.raises(UserError, match=rf"00000\.h5: {message}"):
        open_data(f"nyu:{layout}", SIZE).test.evaluation_example(0)


def test_an_h5_file_without_depth_is_named(layout: Path) -> None:
    with h5py.File(layout / "val" / "official" / "00000.h5", "a") as file:
        del file["depth"]
    with pytest.raises(UserError, match=r"00000\.h5 lacks depth"):
        open_data(f"nyu:{layout}", SIZE).test.evaluation_example(0)


def test_depth_that_is_not_finite_is_no_ground_truth(layout: Path, write_h5: WriteH5) -> None:
    depth = np.full((24, 32), 2, np.float32)
    depth[:, :10], depth[:, 22:] = np.nan, np.inf
    write_h5(layout / "val" / "official" / "00000.h5", depth=depth)
    seen = open_data(f"nyu:{layout}", SIZE).test.evaluation_example(0)[1]
    assert set(np.unique(seen)) == {0, 2}


def test_damaged_h5_files_are_named_and_never_crash(layout: Path) -> None:
    path = layout / "val" / "official" / "00000.h5"
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    damaged = [b"", b"not hdf5", whole[: len(whole) // 2]]
    for _ in range(30):
        spoilt = bytearray(whole)
        for position in rng.integers(0, 1024, 8):
            spoilt[position] = int(rng.integers(256))
        damaged.append(bytes(spoilt))
    messages = []
    for content in damaged:
        path.write_bytes(content)
        try:
            open_data(f"nyu:{layout}", SIZE).test.evaluation_example(0)
        except UserError as error:
            messages.append(str(error))
    assert len(messages) >= 3
    assert all("00000.h5" in message and "\n" not in message for message in messages)


SCENES = ["kitchen_1", "kitchen_1", "office_2", "office_2", "den_3", "den_3", "attic_4", "attic_4"]


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    """A labelled set of 8 frames, two to a scene, stored column-first as MATLAB does."""
    path = tmp_path / "nyu_depth_v2_labeled.mat"
    rng = np.random.default_rng(0)
    with h5py.File(path, "w") as file:
        file["images"] = rng.integers(0, 256, (8, 3, 32, 24), dtype=np.uint8)
        file["depths"] = np.full((8, 32, 24), 1, np.float32) + np.linspace(0, 1, 24, dtype="f4")
        cells = file.create_dataset("scenes", (1, 8), dtype=h5py.ref_dtype)
        for number, scene in enumerate(SCENES):
            name = file.create_dataset(f"#refs#/{number}", data=[[ord(c)] for c in scene])
            cells[0, number] = name.ref
    return path


def test_the_labelled_set_is_read_upright(labelled: Path) -> None:
    data = open_data(f"nyu:{labelled}", SIZE)
    assert len(data.train) + len(data.holdout) + len(data.test) == 8
    depth = data.test.evaluation_example(0)[1][0]
    # The depth of the fixture grows with the row of the photograph.
    assert (np.diff(depth, axis=0) > 0).all()
    assert (np.diff(depth, axis=1) == 0).all()


def test_the_labelled_set_is_split_by_scene(labelled: Path) -> None:
    data = open_data(f"nyu:{labelled}", SIZE)
    splits = (data.train, data.holdout, data.test)
    scenes = [{split.block(index) for index in range(len(split))} for split in splits]
    assert not scenes[0] & scenes[1]
    assert not scenes[2] & (scenes[0] | scenes[1])
    assert set().union(*scenes) == set(SCENES)


@pytest.mark.parametrize("compressed", [False, True])
def test_the_official_split_beside_it_is_used(labelled: Path, compressed: bool) -> None:
    savemat(
        labelled.with_name("splits.mat"),
        {"trainNdxs": [[1], [2], [3], [4], [7]], "testNdxs": [[5], [6], [8]]},
        do_compression=compressed,
    )
    data = open_data(f"nyu:{labelled}", SIZE)
    assert [data.test.name(index).split()[-1] for index in range(3)] == ["4", "5", "7"]
    assert len(data.train) + len(data.holdout) == 5


@pytest.mark.parametrize(
    "content",
    [b"junk", {"trainNdxs": [[1]]}, {"trainNdxs": [[1], [2]], "testNdxs": [[9]]},
     {"trainNdxs": [[1], [2]], "testNdxs": [[2]]}, {"trainNdxs": [["a"]], "testNdxs": [[2]]}],
)  # fmt: skip
def test_a_bad_splits_file_is_named(labelled: Path, content: bytes | dict[str, object]) -> None:
    path = labelled.with_name("splits.mat")
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        savemat(path, content)
    with pytest.raises(UserError, match=r"splits\.mat"):
        open_data(f"nyu:{labelled}", SIZE)


def test_damaged_splits_files_are_named_and_never_crash(labelled: Path) -> None:
    path = labelled.with_name("splits.mat")
    savemat(path, {"trainNdxs": [[1], [2], [3]], "testNdxs": [[5], [6]]})
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(60):
        spoilt = bytearray(whole)
        for position in rng.integers(120, len(whole), 4):
            spoilt[position] = int(rng.integers(256))
        path.write_bytes(spoilt)
        try:
            open_data(f"nyu:{labelled}", SIZE)
        except UserError:
            refused += 1
    assert refused > 30


@pytest.mark.parametrize("key", ["images", "depths"])
def test_a_labelled_set_that_lacks_a_part_is_named(labelled: Path, key: str) -> None:
    with h5py.File(labelled, "a") as file:
        del file[key]
    with pytest.raises(UserError, match=f"lacks {key}"):
        open_data(f"nyu:{labelled}", SIZE)


def test_a_labelled_set_that_is_not_hdf5_is_named(labelled: Path) -> None:
    labelled.write_bytes(b"MATLAB 5.0 MAT-file")
    with pytest.raises(UserError, match="not a sound MATLAB"):
        open_data(f"nyu:{labelled}", SIZE)
