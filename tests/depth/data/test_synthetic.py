import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netadapt.depth.data import open_data
from netadapt.depth.data import synthetic as room_data
from netadapt.depth.data.rooms.layout import make_scene
from netadapt.depth.data.rooms.raycast import FOCAL_X, FOCAL_Y, cast, view_of
from netadapt.depth.data.rooms.render import render
from netadapt.depth.data.rooms.scene import Camera, Pattern, Room, Solid, Surface

SIZE = (32, 32)
GREY = Surface(Pattern.PLAIN, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
ROOM = Room(8, 6, 3, (GREY, GREY, GREY, GREY), GREY, GREY)


@given(st.integers(0, 2**31))
@settings(max_examples=8, deadline=None)
def test_a_scene_is_a_function_of_its_seed(seed: int) -> None:
    assert make_scene(seed) == make_scene(seed)
    one, two = (render(make_scene(seed), 24, 32) for _ in range(2))
    assert np.array_equal(one[0], two[0])
    assert np.array_equal(one[1], two[1])


@given(st.integers(0, 2**31))
@settings(max_examples=8, deadline=None)
def test_a_scene_is_the_same_at_any_size(seed: int) -> None:
    scene = make_scene(seed)
    small, large = render(scene, 24, 32)[1], render(scene, 72, 96)[1]
    # The middle of each 3x3 cell looks along the very ray of the small picture.
    assert np.isclose(small, large[1::3, 1::3], rtol=1e-3).mean() > 0.995


def test_rooms_have_the_depths_and_exposures_of_indoor_photographs() -> None:
    pictures = [render(make_scene(seed), 48, 64) for seed in range(60)]
    depth = np.stack([picture[1] for picture in pictures])
    rgb = np.stack([picture[0] for picture in pictures]) / 255
    assert 2.2 < np.median(depth) < 3.4
    assert 1.0 < depth.std() < 2.0
    assert depth.min() > 0.25
    assert depth.max() < 13
    assert np.percentile(depth, 1) > 0.6
    assert 0.3 < rgb.mean() < 0.6
    assert 0.15 < rgb.std() < 0.35


def march(camera: Camera, solids: list[Solid], row: float, column: float) -> float:
    """Depth along one ray by small steps until it is outside the room or inside a solid."""
    forward = np.array([np.cos(camera.yaw), np.sin(camera.yaw), 0])
    right = np.array([np.sin(camera.yaw), -np.cos(camera.yaw), 0])
    ray = forward + right * (column - 0.5) / FOCAL_X - np.array([0, 0, (row - 0.5) / FOCAL_Y])
    for depth in np.arange(0.06, 20, 0.005):
        x, y, z = np.array(camera.position) + depth * ray
        if abs(x) > ROOM.width / 2 or abs(y) > ROOM.length / 2 or not 0 < z < ROOM.height:
            return float(depth)
        for solid in solids:
            local = np.array([x, y, z]) - solid.centre
            cosine, sine = np.cos(solid.yaw), np.sin(solid.yaw)
            local[:2] = cosine * local[0] + sine * local[1], cosine * local[1] - sine * local[0]
            scaled = np.abs(local / solid.half)
            if (scaled**2).sum() <= 1 if solid.is_round else scaled.max() <= 1:
                return float(depth)
    raise AssertionError("the ray left the room")


@given(
    st.floats(-3, 3),
    st.lists(
        st.tuples(st.floats(0.5, 3), st.floats(-2, 2), st.floats(0, 1.5), st.booleans()),
        max_size=4,
    ),
    st.floats(0, 1),
    st.floats(0, 1),
)
@settings(max_examples=20, deadline=None)
def test_cast_depth_agrees_with_marching_along_the_ray(
    yaw: float, things: list[tuple[float, float, float, bool]], row: float, column: float
) -> None:
    camera = Camera((-1.0, 0.3, 1.4), yaw, 0, 0)
    solids = [
        Solid((x, y, 0.9), (0.4, 0.25, 0.6), GREY, GREY, turned, is_round)
        for x, y, turned, is_round in things
    ]
    depth, seen = cast(view_of(camera, 60, 80), ROOM, solids)
    i, j = min(int(row * 60), 59), min(int(column * 80), 79)
    marched = march(camera, solids, (i + 0.5) / 60, (j + 0.5) / 80)
    # A ray that grazes an edge may go either way.
    around = depth[max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2]
    assert around.min() - 0.02 <= marched <= around.max() + 0.02
    assert seen.max() <= len(solids)


def test_counts_are_as_asked_and_at_least_sixteen() -> None:
    few, many = open_data("synthetic:5", SIZE), open_data("synthetic:400", SIZE)
    assert [len(few.train), len(few.holdout), len(few.test)] == [5, 16, 16]
    assert [len(many.train), len(many.holdout), len(many.test)] == [400, 40, 40]
    assert len(open_data("synthetic", SIZE).train) == 2000


def test_no_scene_lies_in_two_splits() -> None:
    data = open_data("synthetic:50", SIZE)
    splits = (data.train, data.holdout, data.test)
    scenes = [{split.block(index) for index in range(len(split))} for split in splits]
    assert sum(map(len, scenes)) == len(set().union(*scenes))


def test_a_smaller_set_is_the_beginning_of_a_larger_one() -> None:
    few, many = open_data("synthetic:5", SIZE).train, open_data("synthetic:50", SIZE).train
    for one, two in zip(few.evaluation_example(3), many.evaluation_example(3), strict=True):
        assert np.array_equal(one, two)


def test_scenes_are_kept_on_disk(scene_cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size = (32, 36)
    before = open_data("synthetic:2", size).train.evaluation_example(1)
    monkeypatch.setattr(room_data, "render", None)
    after = open_data("synthetic:2", size).train.evaluation_example(1)
    assert np.array_equal(before[0], after[0])
    assert np.array_equal(before[1], after[1])
    kept = room_data.Shard(0, room_data.render_size(size)).path
    assert kept.is_relative_to(scene_cache)
    assert {path.suffix for path in kept.parent.iterdir()} == {".npy"}


@pytest.mark.parametrize("damage", ["empty", "junk", "cut", "flipped", "other"])
def test_a_damaged_cache_is_rendered_anew(damage: str) -> None:
    size = (32, 40)
    before = open_data("synthetic:2", size).train.evaluation_example(0)
    kept = room_data.Shard(0, room_data.render_size(size)).path
    whole = kept.read_bytes()
    spoilt = {
        "empty": b"",
        "junk": b"junk" * 100,
        "cut": whole[: len(whole) // 3],
        "flipped": whole[:900] + bytes([whole[900] ^ 255]) + whole[901:],
    }
    if damage == "other":
        np.save(kept, np.zeros(16))
    else:
        kept.write_bytes(spoilt[damage])
    after = open_data("synthetic:2", size).train.evaluation_example(0)
    assert np.array_equal(before[0], after[0])
    assert np.array_equal(before[1], after[1])
    assert kept.read_bytes() == whole


def test_without_a_place_to_keep_them_scenes_stay_in_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    monkeypatch.setenv("NETADAPT_CACHE", str(blocked))
    rgb, depth = open_data("synthetic:1", (32, 44)).train.evaluation_example(0)
    assert rgb.shape == (3, 32, 44)
    assert depth.min() > 0
    assert os.listdir(tmp_path) == ["file"]
