from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from netadapt.depth.data import TripletDataset, open_sequences
from netadapt.depth.data.frames import Frame, Pinhole, Triplet
from netadapt.depth.data.rooms.layout import make_scene
from netadapt.depth.data.rooms.motion import moved
from netadapt.depth.data.rooms.raycast import View, view_of
from netadapt.depth.data.rooms.render import render
from netadapt.depth.data.synthetic import FIRST_SEED
from netadapt.errors import UserError

SIZE = (96, 128)
Floats = NDArray[np.floating]


def bilinear(image: Floats, x: Floats, y: Floats) -> Floats:
    """``image`` ``(C, H, W)`` at places ``(n,)``, pixel centres being whole numbers."""
    left = np.clip(np.floor(x).astype(int), 0, image.shape[2] - 2)
    top = np.clip(np.floor(y).astype(int), 0, image.shape[1] - 2)
    right_by, down_by = x - left, y - top
    upper = image[:, top, left] * (1 - right_by) + image[:, top, left + 1] * right_by
    lower = image[:, top + 1, left] * (1 - right_by) + image[:, top + 1, left + 1] * right_by
    return upper * (1 - down_by) + lower * down_by


def seen_from(
    intrinsics: Floats, depth: Floats, here: View, there: View
) -> tuple[Floats, Floats, Floats, NDArray[np.bool_]]:
    """Column, row and depth ``(H * W,)`` in another picture of what each pixel shows.

    And which of them lie in that picture.
    """
    height, width = depth.shape[1:]
    y, x = np.mgrid[:height, :width].reshape(2, -1)
    rays = np.linalg.inv(intrinsics) @ np.stack([x, y, np.ones(x.size)])
    world = here.axes.T @ (rays * depth.ravel()) + np.array(here.origin)[:, None]
    across, down, away = intrinsics @ there.axes @ (world - np.array(there.origin)[:, None])
    x, y = across / away, down / away
    return x, y, away, (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1) & (away > 0)


def test_true_depth_and_motion_turn_the_sources_into_the_target() -> None:
    data = open_sequences("synthetic:16", SIZE)
    errors: dict[str, list[float]] = {"true": [], "near": [], "still": []}
    for index in range(len(data.train)):
        target, sources, intrinsics, depth = data.train.evaluation_example(index)
        scene = make_scene(FIRST_SEED["train"] + index)
        here = view_of(scene.camera, *SIZE)
        for source, step in zip(sources, (-1, 1), strict=True):
            there = view_of(moved(scene, step).camera, *SIZE)
            for name, metres, place in (
                ("true", depth, there),
                ("near", depth * 0.6, there),
                ("still", depth, here),
            ):
                x, y, _, inside = seen_from(intrinsics, metres, here, place)
                seen = bilinear(source, x[inside], y[inside])
                errors[name].append(np.abs(seen - target.reshape(3, -1)[:, inside]).mean())
    true, near, still = (np.array(values) for values in errors.values())
    assert true.mean() < 0.6 * still.mean()
    assert true.mean() < 0.8 * near.mean()
    assert (true < still).all()


def test_a_synthetic_camera_moves_through_one_and_the_same_room() -> None:
    data = open_sequences("synthetic:8", SIZE)
    for index in range(len(data.train)):
        _, _, intrinsics, depth = data.train.evaluation_example(index)
        scene = make_scene(FIRST_SEED["train"] + index)
        after = moved(scene, 1)
        here, there = view_of(scene.camera, *SIZE), view_of(after.camera, *SIZE)
        assert 0.04 < np.linalg.norm(np.subtract(here.origin, there.origin)) < 0.2
        x, y, away, inside = seen_from(intrinsics, depth, here, there)
        there_depth = render(after, *SIZE)[1]
        found = there_depth[np.rint(y[inside]).astype(int), np.rint(x[inside]).astype(int)]
        assert np.median(np.abs(found - away[inside]) / found) < 0.005


def test_synthetic_intrinsics_are_those_of_the_rays() -> None:
    data = open_sequences("synthetic:1", SIZE)
    intrinsics = data.train.evaluation_example(0)[2]
    view = view_of(make_scene(0).camera, *SIZE)
    for row, column in ((0, 0), (10, 50), (95, 127)):
        right, down, ahead = view.axes @ view.rays[:, row, column]
        across, along, away = intrinsics @ [right, down, ahead]
        assert (across / away, along / away) == pytest.approx((column, row), abs=1e-3)


def ramps(size: tuple[int, int]) -> NDArray[np.uint8]:
    """Every pixel tells its column in red and its row in green."""
    rgb = np.zeros((*size, 3), np.uint8)
    rgb[..., 0] = np.arange(size[1])
    rgb[..., 1] = np.arange(size[0])[:, None]
    return rgb


def dataset(size: tuple[int, int] = (30, 40), camera: Pinhole | None = None) -> TripletDataset:
    """One triplet of ramps, whose blue tells the frames apart."""

    def photo(number: int) -> NDArray[np.uint8]:
        rgb = ramps(size)
        rgb[..., 2] = number
        return rgb

    def decode() -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        depth = np.ones(size, np.float32)
        depth[0] = np.nan
        return photo(100), depth

    camera = camera or Pinhole(40, 30, 35.0, 33.0, 18.0, 15.5)
    sources = (lambda: photo(50)), (lambda: photo(150))
    return TripletDataset([Triplet(Frame("one", "a", decode), sources, camera)], (30, 40))


def test_shapes_units_and_order() -> None:
    one = dataset()
    target, sources, intrinsics, depth = one.evaluation_example(0)
    assert (target.shape, sources.shape) == ((3, 30, 40), (2, 3, 30, 40))
    assert (intrinsics.shape, depth.shape) == ((3, 3), (1, 30, 40))
    assert {a.dtype for a in (target, sources, intrinsics, depth)} == {np.dtype(np.float32)}
    for image, number in zip((*sources, target), (50, 150, 100), strict=True):
        assert np.allclose(image[2], number / 255)
    assert (depth[0, 0] == 0).all()
    assert (depth[0, 1:] == 1).all()
    rgb, whole = one.full_example(0)
    assert np.array_equal(rgb, target)
    assert np.array_equal(whole, depth)


def test_a_flip_mirrors_the_centre_and_changes_the_three_alike() -> None:
    one = dataset()
    plain = one.evaluation_example(0)
    flips = 0
    for seed in range(40):
        target, sources, intrinsics = one.training_example(0, np.random.default_rng(seed))
        flipped = target[0, 0, 0] > target[0, 0, -1]
        assert all((s[0, 0, 0] > s[0, 0, -1]) == flipped for s in sources)
        expected = plain[2].copy()
        if flipped:  # column 18 of 40 has become column 21
            expected[0, 2] = 21
            flips += 1
        assert np.array_equal(intrinsics, expected)
    assert 8 < flips < 32


def test_colours_change_alike_and_only_for_some() -> None:
    one = dataset()
    plain = one.evaluation_example(0)
    unchanged = 0
    for seed in range(40):
        target, sources, _ = one.training_example(0, np.random.default_rng(seed))
        if target[0, 0, 0] > target[0, 0, -1]:
            target, sources = target[:, :, ::-1], sources[..., ::-1]
        unchanged += np.array_equal(target, plain[0]) and np.array_equal(sources, plain[1])
        assert 0 <= min(target.min(), sources.min()) <= max(target.max(), sources.max()) <= 1
        # the frames differ in blue alone, and are turned to grey by weights of each
        inner = np.abs(target[0] - sources[:, 0]).max()
        assert inner <= 0.2 * 50 / 255 * 1.5
    assert 8 < unchanged < 32


def test_an_example_is_a_function_of_index_and_generator() -> None:
    one = dataset()
    first, again = (one.training_example(0, np.random.default_rng(3)) for _ in range(2))
    for mine, other in zip(first, again, strict=True):
        assert np.array_equal(mine, other)
        mine += 1
    assert one.evaluation_example(0)[0].max() <= 1


@pytest.mark.parametrize("size", [(30, 40), (15, 80), (60, 20)])
def test_resized_intrinsics_point_at_the_same_part_of_the_picture(size: tuple[int, int]) -> None:
    camera = Pinhole(40, 30, 35.0, 33.0, 18.0, 15.5)
    matrix = camera.matrix(size)
    ray = np.array([0.2, -0.1, 1])
    x, y = (camera.fx * ray[0] + camera.cx, camera.fy * ray[1] + camera.cy)
    across, along, _ = matrix @ ray
    # the left edge of the first pixel is at -0.5
    assert (across + 0.5) / size[1] == pytest.approx((x + 0.5) / 40)
    assert (along + 0.5) / size[0] == pytest.approx((y + 0.5) / 30)


def test_a_photograph_of_another_size_than_its_cameras_is_named() -> None:
    with pytest.raises(UserError, match="one: a photograph is 30x40 but its camera 60x80"):
        dataset(camera=Pinhole(80, 60, 70.0, 66.0, 36.0, 31.0)).evaluation_example(0)


def test_real_recordings_open(nyu: Path) -> None:
    street = open_sequences(f"sequence:{nyu.parent / 'kitti_drive'}", (48, 160))
    target, sources, intrinsics, depth = street.test.evaluation_example(0)
    assert 0 < np.abs(target - sources).mean() < target.std() / 2
    assert intrinsics[0] == pytest.approx([92.95, 0, 78.15], abs=0.02)
    assert 0.05 < (depth > 0).mean() < 0.3
    kitchen = open_sequences(f"sequence:{nyu.parent / 'redkitchen'}", (48, 64))
    assert 0.5 < np.median(kitchen.train.evaluation_example(0)[3]) < 5


def test_real_poses_turn_real_sources_into_the_target(nyu: Path) -> None:
    kitchen, size = nyu.parent / "redkitchen", (60, 80)
    names = sorted(path.stem for path in (kitchen / "rgb").iterdir())
    train = open_sequences(f"sequence:{kitchen}", size).train
    true, still = [], []
    for index in range(0, len(train), 20):
        target, sources, intrinsics, depth = train.evaluation_example(index)
        number = names.index(Path(train.name(index)).stem)
        known = np.flatnonzero(depth)
        for source, step in zip(sources, (-1, 1), strict=True):
            poses = [np.loadtxt(kitchen / "pose" / f"{names[number + s]}.txt") for s in (0, step)]
            here, there = (View(tuple(p[:3, 3]), p[:3, :3].T, depth) for p in poses)
            x, y, _, inside = seen_from(intrinsics, depth, here, there)
            here_too = known[inside[known]]
            truth = target.reshape(3, -1)[:, here_too]
            true.append(np.abs(bilinear(source, x[here_too], y[here_too]) - truth).mean())
            still.append(np.abs(source.reshape(3, -1)[:, here_too] - truth).mean())
    assert np.mean(true) < 0.6 * np.mean(still)
