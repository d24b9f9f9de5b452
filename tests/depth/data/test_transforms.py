from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torchvision.transforms.functional as tvf
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from netadapt.depth.data.transforms import (
    AUGMENTATIONS,
    PAPER,
    Augmentation,
    evaluation_photo,
    evaluation_view,
    jitter_colours,
    margin,
    training_view,
    working_image,
)
from netadapt.depth.task import open_depth
from netadapt.errors import UserError

SIZES = st.sampled_from([(480, 640), (240, 320), (192, 640), (300, 300)])
INPUTS = st.sampled_from([(128, 160), (224, 224), (64, 64), (96, 320)])
SEEDS = st.integers(0, 2**32 - 1)
GEOMETRY = replace(PAPER, jitter=0.0)  # the colours stay


def coordinates(size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """A frame whose red and green say where a pixel is, and whose depth says so too."""
    height, width = size
    y, x = np.mgrid[:height, :width]
    x, y = (x + 0.5) / width, (y + 0.5) / height
    rgb = np.stack([x * 255, y * 255, x * 0], axis=2).round().astype(np.uint8)
    return rgb, (1 + 2 * x + y).astype(np.float32)


@given(SIZES, INPUTS)
@settings(max_examples=12, deadline=None)
def test_evaluation_sees_the_papers_centre_crop(
    size: tuple[int, int], input_size: tuple[int, int]
) -> None:
    rgb, depth = coordinates(size)
    small, _ = evaluation_view(working_image(rgb, depth, input_size), input_size)
    red, green = small[0], small[1]
    height, width = input_size
    expected_x = 0.5 + ((np.arange(width) + 0.5) / width - 0.5) * 228 / 250
    expected_y = 0.5 + ((np.arange(height) + 0.5) / height - 0.5) * 228 / 250
    assert np.abs(red - expected_x[None]).max() < 0.01
    assert np.abs(green - expected_y[:, None]).max() < 0.01


def test_evaluation_agrees_with_the_papers_three_steps() -> None:
    coarse = np.random.default_rng(0).integers(0, 256, (6, 8, 3), dtype=np.uint8)
    frame = np.asarray(Image.fromarray(coarse).resize((640, 480), Image.Resampling.BICUBIC))
    resized = Image.fromarray(frame).resize((333, 250), Image.Resampling.BILINEAR)
    left, top = (333 - 304) / 2, (250 - 228) / 2
    crop = resized.crop((round(left), round(top), round(left) + 304, round(top) + 228))
    expected = np.asarray(crop.resize((160, 128), Image.Resampling.BILINEAR)) / 255
    mine = evaluation_photo(frame, (128, 160)).transpose(1, 2, 0)
    assert np.abs(mine - expected).mean() < 0.005
    assert np.abs(mine - expected).max() < 0.03


@given(SEEDS)
@settings(max_examples=25, deadline=None)
def test_depths_are_never_mixed(seed: int) -> None:
    depth = np.random.default_rng(seed).choice([0, 1, 2, 5], (240, 320)).astype(np.float32)
    image = working_image(np.zeros((240, 320, 3), np.uint8), depth, (64, 80))
    assert set(np.unique(evaluation_view(image, (64, 80))[1])) <= {0, 1, 2, 5}
    _, augmented = training_view(image, (64, 80), np.random.default_rng(seed))
    zoom = 5 / augmented.max()
    assert 1 <= zoom <= 1.5 + 1e-6
    assert np.allclose(np.unique(augmented) * zoom, [0, 1, 2, 5], rtol=1e-5)


@given(SIZES, INPUTS, SEEDS)
@settings(max_examples=25, deadline=None)
def test_augmentation_is_a_zoom_a_small_turn_and_a_flip_about_the_centre(
    size: tuple[int, int], input_size: tuple[int, int], seed: int
) -> None:
    image = working_image(*coordinates(size), input_size)
    rgb, depth = training_view(image, input_size, np.random.default_rng(seed), GEOMETRY)
    zoom = _zoom_of(rgb, depth)
    inside = depth[0] > 0
    # In units of rows of the frame, from the centre, where the geometry is that of the scene.
    stretch = np.array([size[1] / size[0], 1])
    source = (np.stack([rgb[0][inside], rgb[1][inside]], axis=1) - 0.5) * stretch
    v, u = np.nonzero(inside)
    height, width = input_size
    output = np.stack([(u + 0.5) / width - 0.5, (v + 0.5) / height - 0.5], axis=1)
    output = output * stretch * 228 / 250
    basis = np.concatenate([output, np.ones((len(output), 1))], axis=1)
    linear, *_ = np.linalg.lstsq(basis, source, rcond=None)
    matrix, shift = linear[:2].T * zoom, linear[2]
    assert (np.abs(shift) < 0.004 * stretch).all()  # colours are whole steps of 1/255
    assert np.allclose(matrix @ matrix.T, np.eye(2), atol=0.03)
    flip = np.sign(np.linalg.det(matrix))
    angle = np.degrees(np.arctan2(matrix[1, 0] * flip, matrix[0, 0] * flip))
    assert abs(angle) < 5.3


@given(SEEDS, st.sampled_from(["centre", "anywhere"]))
@settings(max_examples=25, deadline=None)
def test_augmented_depth_stays_on_its_pixels(seed: int, window: Any) -> None:
    image = working_image(*coordinates((240, 320)), (128, 160))
    how = replace(GEOMETRY, window=window)
    rgb, depth = training_view(image, (128, 160), np.random.default_rng(seed), how)
    seen = depth[0] > 0
    expected = (1 + 2 * rgb[0] + rgb[1]) / _zoom_of(rgb, depth)
    assert np.abs(depth[0] - expected)[seen].max() < 0.05


def _zoom_of(rgb: np.ndarray, depth: np.ndarray) -> float:
    """Depth was divided by the zoom, and the colours still say what it was before."""
    seen = depth[0] > 0
    return float(np.median((1 + 2 * rgb[0] + rgb[1])[seen] / depth[0][seen]))


def test_what_is_drawn_from_outside_the_frame_is_black_and_has_no_depth() -> None:
    turned = replace(GEOMETRY, rotation_deg=20.0)  # at 5 degrees corners leave the frame too rarely
    white = np.full((240, 320, 3), 255, np.uint8)
    image = working_image(white, np.full((240, 320), 3, np.float32), (128, 160))
    missing = 0
    for seed in range(60):
        rgb, depth = training_view(image, (128, 160), np.random.default_rng(seed), turned)
        outside = depth[0] == 0
        missing += int(outside.sum())
        assert not rgb[:, outside].any()
        assert rgb[:, ~outside].min() > 0.4
        assert not outside[32:-32, 40:-40].any()
    assert missing > 500


def test_flips_zooms_and_turns_all_occur() -> None:
    image = working_image(*coordinates((240, 320)), (64, 80))
    views = [training_view(image, (64, 80), np.random.default_rng(seed)) for seed in range(40)]
    flipped = [depth[0, 30, 10] > depth[0, 30, -10] for _, depth in views]
    assert 8 < sum(flipped) < 32
    assert len({depth.tobytes() for _, depth in views}) == 40


def test_a_view_from_anywhere_shows_every_part_of_the_frame_and_keeps_inside_it() -> None:
    image = working_image(*coordinates((240, 320)), (64, 80))
    how = replace(GEOMETRY, window="anywhere", rotation_deg=0.0, zoom=1.5)
    views = [training_view(image, (64, 80), np.random.default_rng(seed), how) for seed in range(60)]
    middles = np.array([rgb[:2, 32, 40] for rgb, _ in views])
    assert (np.ptp(middles, axis=0) > 0.25).all()
    assert all((depth > 0).all() for _, depth in views)


@given(SEEDS)
@settings(max_examples=25, deadline=None)
def test_light_and_exposure_change_the_colours_and_not_the_geometry(seed: int) -> None:
    grey = np.full((240, 320, 3), 128, np.uint8)
    image = working_image(grey, np.full((240, 320), 3, np.float32), (64, 80))
    rng = np.random.default_rng(seed)
    how = Augmentation(zoom=1, rotation_deg=0, jitter=0, gain=0.2, gamma=1.4)
    rgb, depth = training_view(image, (64, 80), rng, how)
    assert (depth == 3).all()
    for channel in rgb:
        assert np.ptp(channel) < 1e-6
        assert (0.5 * 0.79) ** 1.41 < channel.mean() < (0.5 * 1.21) ** (1 / 1.41)


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_each_augmentation_can_be_chosen_by_name(name: str) -> None:
    task = open_depth("synthetic:16", (32, 64), augmentation=name)
    images, depths = task.train_batch(0, 4, 0)
    assert images.shape == (4, 3, 32, 64)
    assert 0 <= images.min() < images.max() <= 1
    assert depths.max() > 0
    with pytest.raises(UserError, match="unknown augmentation 'wild'; known: paper, strong, mild"):
        open_depth("synthetic:16", (32, 64), augmentation="wild")


def test_the_same_generator_state_gives_the_same_view() -> None:
    image = working_image(*coordinates((240, 320)), (64, 80))
    one, two = (training_view(image, (64, 80), np.random.default_rng(5)) for _ in range(2))
    assert np.array_equal(one[0], two[0])
    assert np.array_equal(one[1], two[1])


class FixedDraws(np.random.Generator):
    """Draws given factors in a given order."""

    def __init__(self, order: list[int], factors: list[float]) -> None:
        super().__init__(np.random.PCG64(0))
        self.order, self.factors = order, iter(factors)

    def permutation(self, *_: object, **__: object) -> np.ndarray:
        return np.array(self.order)

    def uniform(self, *_: Any, **__: Any) -> Any:
        return next(self.factors)


@pytest.mark.parametrize("order", [[0, 1, 2], [2, 0, 1], [1, 2, 0]])
def test_colour_jitter_agrees_with_torchvision(order: list[int]) -> None:
    rgb = np.random.default_rng(0).random((12, 16, 3), dtype=np.float32)
    adjust = [tvf.adjust_brightness, tvf.adjust_contrast, tvf.adjust_saturation]
    factors = [1.35, 0.7, 1.2]
    expected = torch.from_numpy(rgb.transpose(2, 0, 1).copy())
    for step, factor in zip(order, factors, strict=True):
        expected = adjust[step](expected, factor)
    mine = jitter_colours(rgb.copy(), FixedDraws(order, factors), 0.4)
    assert np.allclose(mine.transpose(2, 0, 1), expected.numpy(), atol=2e-3)


@given(st.tuples(st.integers(8, 300), st.integers(8, 300)))
def test_the_working_image_stays_within_the_frame(input_size: tuple[int, int]) -> None:
    for side, extra in zip(input_size, margin(input_size), strict=True):
        assert (side + 2 * extra) * 228 / 250 <= side + 1e-9
