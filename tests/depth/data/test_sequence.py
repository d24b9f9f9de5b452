import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from netadapt.depth.data import open_data, open_sequences
from netadapt.errors import UserError

SIZE = (16, 16)
CAMERA: dict[str, float] = {"width": 32, "height": 24, "fx": 30, "fy": 30.5, "cx": 15.5, "cy": 11.5}


def record(
    folder: Path, frames: int, *, depth: bool = True, camera: dict[str, float] | None
) -> None:
    """Write a recording whose frame n is of brightness n and n + 1 metres away."""
    (folder / "rgb").mkdir(parents=True)
    for number in range(frames):
        Image.new("RGB", (32, 24), (number, 0, 0)).save(folder / "rgb" / f"{4 * number:06d}.png")
        if depth:
            (folder / "depth").mkdir(exist_ok=True)
            raw = np.full((24, 32), 256 * (number + 1), np.uint16)
            Image.fromarray(raw).save(folder / "depth" / f"{4 * number:06d}.png")
    if camera is not None:
        (folder / "camera.json").write_text(json.dumps(camera))


@pytest.fixture
def video(tmp_path: Path) -> Path:
    record(tmp_path / "video", 60, camera=CAMERA | {"depth_unit_m": 1 / 256})
    return tmp_path / "video"


def numbers(split) -> set[int]:
    return {int(Path(split.name(index)).stem) // 4 for index in range(len(split))}


def test_depth_has_the_unit_of_the_camera_file(video: Path) -> None:
    data = open_data(f"sequence:{video}", SIZE)
    for index in range(len(data.train)):
        expected = int(Path(data.train.name(index)).stem) / 4 + 1
        assert np.allclose(data.train.evaluation_example(index)[1], expected)


@pytest.mark.parametrize("opened", [open_data, open_sequences])
@pytest.mark.parametrize("seed", range(5))
def test_splits_of_a_video_share_no_neighbours(video: Path, opened, seed: int) -> None:
    data = opened(f"sequence:{video}", SIZE, seed=seed)
    train, holdout, test = (numbers(split) for split in (data.train, data.holdout, data.test))
    assert min(len(train), len(holdout), len(test)) > 1
    for one, other in ((train, holdout), (train, test), (holdout, test)):
        assert min(abs(a - b) for a in one for b in other) > 3
    for held in (holdout, test):
        assert max(held) - min(held) == len(held) - 1  # one block
    assert test == numbers(opened(f"sequence:{video}", SIZE).test)


def test_a_triplet_is_a_frame_and_its_neighbours_by_name(video: Path) -> None:
    data = open_sequences(f"sequence:{video}", (24, 32))
    assert numbers(data.train) & {0, 59} == set()
    for index in range(0, len(data.train), 7):
        number = int(Path(data.train.name(index)).stem) // 4
        target, sources, intrinsics, depth = data.train.evaluation_example(index)
        assert np.allclose(target[0], number / 255)
        assert np.allclose(sources[0, 0], (number - 1) / 255)
        assert np.allclose(sources[1, 0], (number + 1) / 255)
        assert np.allclose(depth, number + 1)
        camera = np.array([[30, 0, 15.5], [0, 30.5, 11.5], [0, 0, 1]])
        assert np.allclose(intrinsics, camera)


def test_a_video_without_depth_gives_triplets_alone(tmp_path: Path) -> None:
    record(tmp_path, 40, depth=False, camera=CAMERA)
    assert not open_sequences(f"sequence:{tmp_path}", SIZE).train.evaluation_example(0)[3].any()
    with pytest.raises(UserError, match="the training frames have no depth in depth/; add it"):
        open_data(f"sequence:{tmp_path}", SIZE)


def test_frames_without_depth_are_in_triplets_alone(video: Path) -> None:
    for path in list((video / "depth").iterdir())[::2]:
        path.unlink()
    data, triplets = (opened(f"sequence:{video}", SIZE) for opened in (open_data, open_sequences))
    assert len(data.train) < 0.7 * len(triplets.train)


def test_several_videos_share_a_camera_or_have_their_own(tmp_path: Path) -> None:
    record(tmp_path / "one", 30, camera=None)
    record(tmp_path / "two", 30, camera=CAMERA | {"fx": 60})
    (tmp_path / "camera.json").write_text(json.dumps(CAMERA))
    train = open_sequences(f"sequence:{tmp_path}", (24, 32)).train
    seen = {Path(train.name(i)).parts[-3]: train.evaluation_example(i) for i in range(len(train))}
    assert {name: example[2][0, 0] for name, example in seen.items()} == {"one": 30, "two": 60}
    for index in range(len(train)):  # no triplet goes from one video to the other
        target, sources, *_ = train.evaluation_example(index)
        steps = (sources[1, 0] - target[0], target[0] - sources[0, 0])
        assert all(np.allclose(step, 1 / 255) for step in steps)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1, 2", "camera.json is no camera file: it is not JSON"),
        ("[]", "camera.json is no camera file: it is not a JSON object"),
        (json.dumps({k: v for k, v in CAMERA.items() if k != "fy"}), "fy is missing"),
        (json.dumps(CAMERA | {"fx": 0}), "fx is 0; give more than 0"),
        (json.dumps(CAMERA | {"fx": "30"}), "fx is '30'; give a number"),
        (json.dumps(CAMERA | {"cx": float("nan")}), "cx is nan"),
        (json.dumps(CAMERA | {"width": 31.5}), "width is 31.5; give a whole number"),
        (json.dumps(CAMERA | {"depth_unit_m": -1}), "depth_unit_m is -1; give more than 0"),
    ],
)
def test_a_camera_that_cannot_be_is_named(video: Path, content: str, message: str) -> None:
    (video / "camera.json").write_text(content)
    for opened in (open_data, open_sequences):
        with pytest.raises(UserError, match=message) as caught:
            opened(f"sequence:{video}", SIZE)
        assert "\n" not in str(caught.value)


def test_what_is_missing_is_named(video: Path) -> None:
    (video / "camera.json").unlink()
    with pytest.raises(UserError, match=r"camera\.json does not exist; write it"):
        open_sequences(f"sequence:{video}", SIZE)
    shutil.rmtree(video / "rgb")
    with pytest.raises(UserError, match="holds neither rgb/ nor folders with rgb/"):
        open_sequences(f"sequence:{video}", SIZE)


def test_a_depth_image_without_its_photograph_is_named(video: Path) -> None:
    (video / "rgb" / "000008.png").unlink()
    with pytest.raises(UserError, match=r"depth/000008\.png has no partner in"):
        open_data(f"sequence:{video}", SIZE)


def test_two_frames_are_too_few(tmp_path: Path) -> None:
    record(tmp_path, 2, camera=CAMERA)
    with pytest.raises(UserError, match="too few frames"):
        open_sequences(f"sequence:{tmp_path}", SIZE)


def test_too_short_a_video_is_named(tmp_path: Path) -> None:
    record(tmp_path, 5, camera=CAMERA)
    with pytest.raises(UserError, match="too few frames"):
        open_sequences(f"sequence:{tmp_path}", SIZE)


def test_single_frames_and_triplets_have_the_same_test_frames(tmp_path: Path) -> None:
    for frames in (45, 54, 67):
        record(tmp_path / f"{frames}", frames, camera=CAMERA)
        single, video = (opened(f"sequence:{tmp_path / str(frames)}", SIZE)
                         for opened in (open_data, open_sequences))  # fmt: skip
        assert numbers(video.test) <= numbers(single.test)
        assert not numbers(video.train) & numbers(single.test)
