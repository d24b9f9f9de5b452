"""Seeing a scene from where another camera stood."""

import torch
import torch.nn.functional as F
from torch import Tensor

NEAREST = 1e-3  # depth units in front of the camera; what lies behind it is held there


def rotation_matrix(axis_angle: Tensor) -> Tensor:
    """Return ``(N, 3, 3)`` for rotations ``(N, 3)``: unit axis times angle in radians."""
    x, y, z = axis_angle.float().unbind(1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=1)
    rotation: Tensor = torch.linalg.matrix_exp(cross.view(-1, 3, 3))
    return rotation


def inverted(rotation: Tensor, translation: Tensor) -> tuple[Tensor, Tensor]:
    """Return the way back of a motion: rotations ``(N, 3, 3)`` and translations ``(N, 3)``."""
    back = rotation.transpose(1, 2)
    return back, -(back * translation[:, None]).sum(dim=2)  # autocast would round a product


def warped(
    source: Tensor, depth: Tensor, rotation: Tensor, translation: Tensor, intrinsics: Tensor
) -> Tensor:
    """Return what the target camera would see, its pixels taken from ``source``.

    Args:
        source: ``(N, C, H, W)``, of the other camera.
        depth: ``(N, 1, H, W)`` of the target's pixels, in the unit of ``translation``.
        rotation: ``(N, 3, 3)``, with ``translation`` ``(N, 3)`` what takes points of the target's
            camera to the source's.
        translation: see there.
        intrinsics: ``(N, 3, 3)`` of both, in pixels, whose centres lie at whole numbers.

    Returns:
        ``(N, C, H, W)``, bilinear; pixels seen outside ``source`` show its border.
    """
    batch, _, height, width = depth.shape
    rows = torch.arange(height, dtype=depth.dtype, device=depth.device)
    columns = torch.arange(width, dtype=depth.dtype, device=depth.device)
    y, x = torch.meshgrid(rows, columns, indexing="ij")
    pixels = torch.stack([x, y, torch.ones_like(x)]).flatten(1)
    points = depth.flatten(2) * (torch.linalg.inv(intrinsics) @ pixels)
    seen = intrinsics @ (rotation @ points + translation[..., None])
    places = seen[:, :2] / seen[:, 2:].clamp(min=NEAREST)
    scale = places.new_tensor([2 / (width - 1), 2 / (height - 1)]).view(1, 2, 1)
    grid = (places * scale - 1).transpose(1, 2).reshape(batch, height, width, 2)
    return F.grid_sample(source, grid, padding_mode="border", align_corners=True)
