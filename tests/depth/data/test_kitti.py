from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from netadapt.depth.data import DepthData, SequenceData, open_data, open_sequences
from netadapt.depth.data.velodyne import Calibration, depth_image, read_calibration
from netadapt.errors import UserError

DAY = "2011_09_26"
HEIGHT, WIDTH = 24, 80
CAMERA = np.array([[50.0, 0, 41.3], [0, 52.0, 11.2], [0, 0, 1]])
BASELINE = {"02": np.array([4.0, 0.2, 0.003]), "03": np.array([-30.0, 0.2, 0.003])}
TURN = np.array([[np.cos(0.02), -np.sin(0.02), 0], [np.sin(0.02), np.cos(0.02), 0], [0, 0, 1]])
AXES = np.array([[0.0, -1, 0], [0, 0, -1], [1, 0, 0]])  # the laser looks along x, up is z
MOVED = np.array([-0.004, -0.07, -0.27])


def laser_point(column: float, row: float, depth: float, camera: str = "02") -> np.ndarray:
    """Where the laser sees what lies at this place of the photograph."""
    rectified = np.linalg.solve(CAMERA, np.array([column, row, 1]) * depth - BASELINE[camera])
    return AXES.T @ (TURN.T @ rectified - MOVED)


def write_calibration(day: Path) -> None:
    day.mkdir(parents=True, exist_ok=True)

    def line(name: str, matrix: np.ndarray) -> str:
        return f"{name}: " + " ".join(f"{number:e}" for number in np.ravel(matrix))

    lines = ["calib_time: 09-Jan-2012 13:57:47", line("R_rect_00", TURN)]
    for name, baseline in BASELINE.items():
        lines.append(line(f"S_rect_{name}", np.array([WIDTH, HEIGHT])))
        lines.append(line(f"P_rect_{name}", np.column_stack([CAMERA, baseline])))
    (day / "calib_cam_to_cam.txt").write_text("\n".join(lines))
    (day / "calib_velo_to_cam.txt").write_text("\n".join([line("R", AXES), line("T", MOVED)]))


def write_drive(folder: Path, drive: int, frames: range, suffix: str = "png") -> Path:
    """Frame n of a drive is of brightness n, and all its laser points are n + 5 metres away."""
    home = folder / DAY / f"{DAY}_drive_{drive:04d}_sync"
    for camera in BASELINE:
        (home / f"image_{camera}" / "data").mkdir(parents=True)
    (home / "velodyne_points" / "data").mkdir(parents=True)
    for number in frames:
        for camera in BASELINE:
            photo = home / f"image_{camera}" / "data" / f"{number:010d}.{suffix}"
            Image.new("RGB", (WIDTH, HEIGHT), (number, drive, int(camera))).save(photo)
        points = [laser_point(c, r, number + 5) for c in range(0, 80, 4) for r in range(2, 24, 3)]
        write_scan(home / "velodyne_points" / "data" / f"{number:010d}.bin", np.array(points))
    return home


def write_scan(path: Path, points: np.ndarray) -> None:
    np.column_stack([points, np.zeros(len(points))]).astype("<f4").tofile(path)


@pytest.fixture
def kitti(tmp_path: Path) -> Path:
    write_calibration(tmp_path / DAY)
    for drive in range(1, 6):
        write_drive(tmp_path, drive, range(8))
    return tmp_path


def write_lists(folder: Path, **lists: list[str]) -> None:
    (folder / "splits").mkdir(exist_ok=True)
    for name, lines in lists.items():
        (folder / "splits" / f"eigen_{name}_files.txt").write_text("\n".join(lines) + "\n")


def listed(drive: int, number: int, side: str = "l") -> str:
    return f"{DAY}/{DAY}_drive_{drive:04d}_sync {number} {side}"


@pytest.fixture
def with_lists(kitti: Path) -> Path:
    write_lists(
        kitti,
        train=[
            listed(drive, number, side) for drive in (1, 2) for number in range(8) for side in "lr"
        ],
        val=[listed(3, number) for number in range(3)],
        test=[f"{DAY}/{DAY}_drive_0004_sync 0000000002 l", listed(5, 6)],
    )
    return kitti


@pytest.fixture(scope="module")
def day(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("calibrated")
    write_calibration(folder)
    return folder


@pytest.fixture(scope="module")
def known(day: Path) -> Calibration:
    return read_calibration(day, "02")


@pytest.mark.parametrize("camera", BASELINE)
def test_a_laser_point_falls_on_its_pixel(day: Path, camera: str) -> None:
    places = [(10, 5, 7.5), (79, 23, 40.0), (0, 0, 3.0), (41, 12, 80.0)]
    points = np.array([laser_point(*place, camera) for place in places])
    expected = np.zeros((HEIGHT, WIDTH))
    for column, row, depth in places:
        expected[row, column] = depth
    assert np.allclose(depth_image(points, read_calibration(day, camera)), expected)


def test_the_intrinsics_are_those_of_the_rectified_camera(known: Calibration) -> None:
    assert np.allclose(known.camera.matrix((HEIGHT, WIDTH)), CAMERA)


def test_the_nearest_surface_wins_and_what_is_not_seen_is_left_out(known: Calibration) -> None:
    nearest = laser_point(20.2, 9.8, 6)
    points = np.array(
        [
            laser_point(20, 10, 30),
            nearest,
            laser_point(19.7, 10.3, 12),
            laser_point(80, 10, 9),  # right of the picture
            laser_point(-1, 10, 9),
            laser_point(20, 24, 9),
            laser_point(40, 10, -9),  # behind the camera
        ]
    )
    image = depth_image(points, known)
    assert np.argwhere(image).tolist() == [[10, 20]]
    assert image[10, 20] == pytest.approx(6)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=20, deadline=None)
def test_projection_agrees_with_a_naive_twin(known: Calibration, seed: int) -> None:
    rng = np.random.default_rng(seed)
    points = rng.uniform((-5, -20, -3), (40, 20, 3), (300, 3))
    expected = np.zeros((HEIGHT, WIDTH))
    for point in points:
        x, y, depth = CAMERA @ (TURN @ (AXES @ point + MOVED)) + BASELINE["02"]
        column, row = round(x / depth), round(y / depth)
        if point[0] < 0 or depth <= 0 or not (0 <= column < WIDTH and 0 <= row < HEIGHT):
            continue
        if expected[row, column] == 0 or depth < expected[row, column]:
            expected[row, column] = depth
    assert np.allclose(depth_image(points, known), expected, rtol=1e-5)


def seen(split) -> set[tuple[int, int]]:
    """Drive and number of the frames of a split."""
    paths = [Path(split.name(index)) for index in range(len(split))]
    return {(int(path.parts[-4].split("_")[-2]), int(path.stem)) for path in paths}


def parts(data: DepthData | SequenceData) -> list[set[tuple[int, int]]]:
    return [seen(split) for split in (data.train, data.holdout, data.test)]


def test_lists_say_what_lies_where(with_lists: Path) -> None:
    data = open_data(f"kitti:{with_lists}", (HEIGHT, WIDTH))
    every = set(range(8))
    assert parts(data) == [
        {(drive, number) for drive in (1, 2) for number in every},
        {(3, 0), (3, 1), (3, 2)},
        {(4, 2), (5, 6)},
    ]
    assert len(data.train) == 32  # of both cameras
    assert data.note == ""
    for index in range(len(data.test)):
        rgb, depth = data.test.full_example(index)
        number = round(float(rgb[0, 0, 0]) * 255)
        assert depth.shape == (1, HEIGHT, WIDTH)
        assert np.allclose(depth[depth > 0], number + 5)
        assert 0.03 < (depth > 0).mean() < 0.3


def test_triplets_of_lists_are_the_frames_with_both_neighbours(with_lists: Path) -> None:
    data = open_sequences(f"kitti:{with_lists}", (HEIGHT, WIDTH))
    assert parts(data) == [
        {(drive, number) for drive in (1, 2) for number in range(1, 7)},
        {(3, 1), (3, 2)},  # the neighbour itself need not be listed
        {(4, 2), (5, 6)},
    ]
    for index in range(len(data.train)):
        target, sources, intrinsics, _ = data.train.evaluation_example(index)
        number, drive, camera = np.round(target[:, 0, 0] * 255)
        assert np.allclose(sources[:, 0, 0, 0] * 255, [number - 1, number + 1])
        assert np.allclose(sources[:, 1:, 0, 0] * 255, [drive, camera])
        assert np.allclose(intrinsics, CAMERA)


@pytest.mark.parametrize("opened", [open_data, open_sequences])
def test_without_lists_whole_drives_are_held_out_and_it_is_said(kitti: Path, opened) -> None:
    data = opened(f"kitti:{kitti}", (HEIGHT, WIDTH), holdout_fraction=0.3)
    drives = [{drive for drive, _ in part} for part in parts(data)]
    assert [len(part) for part in drives] == [3, 1, 1]
    assert set.union(*drives) == {1, 2, 3, 4, 5}
    assert "splits does not exist: the splits are cut by drive, and are not Eigen's" in data.note


def test_one_drive_is_cut_with_a_gap(tmp_path: Path) -> None:
    write_calibration(tmp_path / DAY)
    write_drive(tmp_path, 1, range(60), "jpg")
    data = open_sequences(f"kitti:{tmp_path}", (HEIGHT, WIDTH))
    train, holdout, test = ({number for _, number in part} for part in parts(data))
    for one, other in ((train, holdout), (train, test), (holdout, test)):
        assert min(abs(a - b) for a in one for b in other) > 3


def test_a_missing_frame_parts_triplets(kitti: Path) -> None:
    for camera in BASELINE:
        name = f"image_{camera}/data/{4:010d}.png"
        (kitti / DAY / f"{DAY}_drive_0001_sync" / name).unlink()
    data = open_sequences(f"kitti:{kitti}", (HEIGHT, WIDTH))
    assert {number for drive, number in set.union(*parts(data)) if drive == 1} == {1, 2, 6}


def drive_path(folder: Path, drive: int) -> Path:
    return folder / DAY / f"{DAY}_drive_{drive:04d}_sync"


def test_training_frames_without_a_scan_are_absent_and_listed_test_frames_an_error(
    with_lists: Path,
) -> None:
    (drive_path(with_lists, 1) / "velodyne_points/data/0000000003.bin").unlink()
    data = open_data(f"kitti:{with_lists}", (HEIGHT, WIDTH))
    assert len(data.train) == 30
    assert (1, 3) in seen(open_sequences(f"kitti:{with_lists}", (HEIGHT, WIDTH)).train)
    (drive_path(with_lists, 4) / "velodyne_points/data/0000000002.bin").unlink()
    with pytest.raises(
        UserError, match=r"0002\.png is listed in .*eigen_test_files\.txt but has no"
    ):
        open_data(f"kitti:{with_lists}", (HEIGHT, WIDTH))


@pytest.mark.parametrize("missing", ["train", "val", "test"])
def test_a_missing_list_is_named(with_lists: Path, missing: str) -> None:
    (with_lists / "splits" / f"eigen_{missing}_files.txt").unlink()
    message = rf"splits/eigen_{missing}_files\.txt does not exist; add the list, or remove"
    with pytest.raises(UserError, match=message):
        open_data(f"kitti:{with_lists}", (HEIGHT, WIDTH))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("nonsense", "eigen_val_files.txt line 1: expected 'date/drive number l', or r"),
        (f"{DAY}/{DAY}_drive_0003_sync 5 x", "line 1: expected"),
        ("../../etc 5 l", "line 1: expected"),
        (listed(3, 99), "line 1: .*drive_0003_sync/image_02 has no frame 0000000099"),
        (listed(9, 1), "drive_0009_sync/image_02/data does not exist"),
        ("", "names no frames"),
    ],
)
def test_a_wrong_line_is_named(with_lists: Path, line: str, message: str) -> None:
    write_lists(with_lists, val=[line])
    with pytest.raises(UserError, match=message):
        open_data(f"kitti:{with_lists}", (HEIGHT, WIDTH))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("calib_velo_to_cam.txt", None, r"calib_velo_to_cam\.txt does not exist"),
        ("calib_velo_to_cam.txt", "R: 1 2 3\nT: 0 0 0", r"calib_velo_to_cam\.txt: R is not 9"),
        ("calib_cam_to_cam.txt", "R_rect_00: 1", r"calib_cam_to_cam\.txt: S_rect_02 is not 2"),
        ("calib_cam_to_cam.txt", b"\xff\xfe", r"calib_cam_to_cam\.txt is not text"),
    ],
)
def test_a_damaged_calibration_is_named(
    kitti: Path, name: str, content: str | bytes | None, message: str
) -> None:
    path = kitti / DAY / name
    path.unlink()
    if content is not None:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(UserError, match=message):
        open_data(f"kitti:{kitti}", (HEIGHT, WIDTH))


@pytest.mark.parametrize("content", [b"", b"x" * 17, np.full(8, np.nan, "<f4").tobytes()])
def test_a_damaged_scan_is_named(with_lists: Path, content: bytes) -> None:
    scan = drive_path(with_lists, 4) / "velodyne_points/data/0000000002.bin"
    scan.write_bytes(content)
    data = open_data(f"kitti:{with_lists}", (HEIGHT, WIDTH))
    with pytest.raises(UserError, match=r"0000000002\.bin .*; replace it"):
        data.test.evaluation_example(0)


def test_a_folder_without_drives_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="holds no DATE/DATE_drive_NNNN_sync/image_02"):
        open_data(f"kitti:{tmp_path}", (HEIGHT, WIDTH))


def test_a_photograph_of_another_size_is_named(with_lists: Path) -> None:
    photo = drive_path(with_lists, 4) / "image_02/data/0000000002.png"
    Image.new("RGB", (WIDTH // 2, HEIGHT)).save(photo)
    with pytest.raises(UserError, match=r"0000000002\.png: image is 24x40 but depth is 24x80"):
        open_data(f"kitti:{with_lists}", (HEIGHT, WIDTH)).test.evaluation_example(0)
