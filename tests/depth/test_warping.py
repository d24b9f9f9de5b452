import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from netadapt.depth.warping import inverted, rotation_matrix, warped

INTRINSICS = torch.tensor([[[20.0, 0, 7.2], [0, 18.0, 4.1], [0, 0, 1]]])
NO_TURN = torch.eye(3)[None]


def naive(source, depth, rotation, translation, intrinsics):
    """The warp of one image, pixel by pixel."""
    height, width = depth.shape
    answer = torch.zeros(source.shape)
    fx, fy, cx, cy = (intrinsics[i][j] for i, j in ((0, 0), (1, 1), (0, 2), (1, 2)))
    for v in range(height):
        for u in range(width):
            z = float(depth[v, u])
            point = [(u - cx) / fx * z, (v - cy) / fy * z, z]
            x, y, z = (
                sum(rotation[i][k] * point[k] for k in range(3)) + translation[i] for i in range(3)
            )
            z = max(z, 1e-3)
            column = min(max(fx * x / z + cx, 0), width - 1)
            row = min(max(fy * y / z + cy, 0), height - 1)
            left, top = min(int(column), width - 2), min(int(row), height - 2)
            a, b = column - left, row - top
            answer[:, v, u] = (1 - b) * (
                (1 - a) * source[:, top, left] + a * source[:, top, left + 1]
            ) + b * ((1 - a) * source[:, top + 1, left] + a * source[:, top + 1, left + 1])
    return answer


@pytest.mark.parametrize("seed", range(4))
def test_a_warp_is_that_of_a_naive_twin(seed):
    random = torch.Generator().manual_seed(seed)
    source = torch.rand(2, 3, 9, 15, generator=random)
    depth = 1 + 3 * torch.rand(2, 1, 9, 15, generator=random)
    axis_angle = 0.2 * torch.randn(2, 3, generator=random)
    translation = 0.4 * torch.randn(2, 3, generator=random)
    rotation = rotation_matrix(axis_angle)
    got = warped(source, depth, rotation, translation, INTRINSICS.expand(2, 3, 3))
    for n in range(2):
        wanted = naive(
            source[n], depth[n, 0], rotation[n].tolist(), translation[n].tolist(),
            INTRINSICS[0].tolist(),
        )  # fmt: skip
        torch.testing.assert_close(got[n], wanted, rtol=1e-3, atol=1e-3)


def test_no_motion_shows_the_source_itself():
    source, depth = torch.rand(1, 3, 9, 15), 1 + torch.rand(1, 1, 9, 15)
    got = warped(source, depth, NO_TURN, torch.zeros(1, 3), INTRINSICS)
    torch.testing.assert_close(got, source, rtol=1e-4, atol=1e-4)


def test_a_step_aside_shifts_by_focal_length_over_depth():
    source, depth = torch.rand(1, 3, 9, 15), torch.full((1, 1, 9, 15), 2.0)
    got = warped(source, depth, NO_TURN, torch.tensor([[0.3, 0.0, 0.0]]), INTRINSICS)
    torch.testing.assert_close(got[..., :-3], source[..., 3:], rtol=1e-3, atol=1e-4)
    for column in (-3, -2, -1):  # beyond the border there is only the border
        torch.testing.assert_close(got[..., column], source[..., -1], rtol=1e-3, atol=1e-4)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.floats(-2, 2), min_size=3, max_size=3))
def test_a_rotation_is_that_of_rodrigues(axis_angle):
    angle = math.sqrt(sum(a * a for a in axis_angle))
    x, y, z = (a / max(angle, 1e-12) for a in axis_angle)
    cross = torch.tensor([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    wanted = torch.eye(3) + math.sin(angle) * cross + (1 - math.cos(angle)) * cross @ cross
    got = rotation_matrix(torch.tensor([axis_angle]))
    torch.testing.assert_close(got[0], wanted, rtol=1e-4, atol=1e-5)


def test_there_and_back_is_nowhere():
    rotation, translation = rotation_matrix(torch.randn(4, 3)), torch.randn(4, 3)
    back, way = inverted(rotation, translation)
    points = torch.randn(4, 3, 7)
    there = rotation @ points + translation[..., None]
    torch.testing.assert_close(back @ there + way[..., None], points, rtol=1e-4, atol=1e-4)


def test_gradients_are_finite_without_motion():
    axis_angle = torch.zeros(1, 3, requires_grad=True)
    source, depth = torch.rand(1, 3, 9, 15), torch.ones(1, 1, 9, 15)
    seen = warped(source, depth, rotation_matrix(axis_angle), torch.zeros(1, 3), INTRINSICS)
    seen.square().sum().backward()
    assert axis_angle.grad is not None
    assert torch.isfinite(axis_angle.grad).all()
    assert axis_angle.grad.abs().sum() > 0
