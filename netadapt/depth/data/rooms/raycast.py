"""Casts rays at the solids of a scene: what each pixel sees, which points are in shadow."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netadapt.depth.data.rooms.scene import Camera, Room, Solid, Vector

Floats = NDArray[Any]

# NYU Depth V2's colour camera, for a 640x480 image.
FOCAL_X, FOCAL_Y = 518.86 / 640, 519.47 / 480
NEAREST = 0.05
ALMOST_ZERO = np.float32(1e-6)
SELF_SHADOW = 0.985
MIN_SHADOW_M = 0.05
SIGNS = np.array([[x, y, z] for x in (-1, 1) for y in (-1, 1) for z in (-1, 1)])


@dataclass(frozen=True)
class View:
    """Rays through the pixels of a ``(H, W)`` image.

    Attributes:
        origin: the camera's position.
        axes: ``(3, 3)`` rows right, down, forward in the world.
        rays: ``(3, H, W)`` directions whose component along forward is 1, so that distance
            along a ray is depth.
    """

    origin: Vector
    axes: NDArray[np.float64]
    rays: Floats


def view_of(camera: Camera, height: int, width: int) -> View:
    """Return the rays of ``camera``, with the field of view of a Kinect."""
    cos_pitch, cos_roll, sin_roll = (
        math.cos(camera.pitch),
        math.cos(camera.roll),
        math.sin(camera.roll),
    )
    forward = np.array(
        [
            cos_pitch * math.cos(camera.yaw),
            cos_pitch * math.sin(camera.yaw),
            math.sin(camera.pitch),
        ]
    )
    level = np.array([math.sin(camera.yaw), -math.cos(camera.yaw), 0])
    plumb = np.cross(forward, level)
    right = cos_roll * level + sin_roll * plumb
    down = cos_roll * plumb - sin_roll * level
    x = ((np.arange(width) + 0.5) / width - 0.5) / FOCAL_X
    y = ((np.arange(height) + 0.5) / height - 0.5) / FOCAL_Y
    rays = (
        forward[:, None, None]
        + right[:, None, None] * x[None, None, :]
        + down[:, None, None] * y[None, :, None]
    )
    return View(camera.position, np.stack([right, down, forward]), rays.astype(np.float32))


def cast(view: View, room: Room, solids: Sequence[Solid]) -> tuple[Floats, NDArray[np.int64]]:
    """Return depth ``(H, W)`` in metres and what each pixel sees: 0 the room, k the k-th solid."""
    depth = _inside(view, room)
    seen = np.zeros(depth.shape, np.int64)
    bundle = _Bundle(view.origin, view.rays)
    for number, window in _windows(view, solids):
        entry = bundle.entry(solids[number], window)
        nearest = depth[window]
        hit = (entry > NEAREST) & (entry < nearest)
        np.copyto(nearest, entry, where=hit)
        np.copyto(seen[window], number + 1, where=hit)
    return depth, seen


def shadowed(light: Vector, points: Floats, solids: Sequence[Solid]) -> NDArray[np.bool_]:
    """Return which of ``points`` ``(3, H, W)`` a solid hides from ``light``.

    Thin solids and solids that glow cast no shadow.
    """
    bundle = _Bundle(light, points - np.array(light, np.float32)[:, None, None])
    hidden = np.zeros(points.shape[1:], bool)
    for solid in solids:
        if sorted(solid.half)[1] < MIN_SHADOW_M or solid.side.glow:
            continue
        entry = bundle.entry(solid, np.s_[:, :])
        hidden |= (entry < SELF_SHADOW) & (entry > 0)
    return hidden


@dataclass(frozen=True)
class _Rays:
    """Directions along one axis, their inverses, and the absolute values of the inverses."""

    along: Floats
    inverse: Floats
    reach: Floats


class _Bundle:
    """Rays from one point, rotated and inverted once for every yaw of the solids."""

    def __init__(self, origin: Vector, rays: Floats) -> None:
        self._origin, self._rays = origin, rays
        self._upright = _inverted(rays[2])
        self._turned: dict[float, tuple[_Rays, _Rays, _Rays]] = {}

    def entry(self, solid: Solid, window: tuple[slice, slice]) -> Floats:
        """Distance at which each ray enters the solid; infinite for rays that miss it."""
        start = _local(self._origin, solid)
        if solid.yaw not in self._turned:
            self._turned[solid.yaw] = self._turn(solid.yaw)
        rays = self._turned[solid.yaw]
        if solid.is_round:
            x, y, z = (axis.along[window] for axis in rays)
            return _enter_ellipsoid(start, (x, y, z), solid.half)
        entry, leave = _slab(start[0], rays[0], window, solid.half[0])
        for axis in (1, 2):
            near, far = _slab(start[axis], rays[axis], window, solid.half[axis])
            np.maximum(entry, near, out=entry)
            np.minimum(leave, far, out=leave)
        entry[entry > leave] = np.inf
        return entry

    def _turn(self, yaw: float) -> tuple[_Rays, _Rays, _Rays]:
        x, y = self._rays[0], self._rays[1]
        if yaw:
            cosine, sine = np.float32(math.cos(yaw)), np.float32(math.sin(yaw))
            x, y = cosine * x + sine * y, cosine * y - sine * x
        return _inverted(x), _inverted(y), self._upright


def _inverted(along: Floats) -> _Rays:
    inverse = 1 / np.where(np.abs(along) < ALMOST_ZERO, ALMOST_ZERO, along)
    return _Rays(along, inverse, np.abs(inverse))


def _slab(
    start: float, rays: _Rays, window: tuple[slice, slice], half: float
) -> tuple[Floats, Floats]:
    middle = rays.inverse[window] * np.float32(-start)
    span = rays.reach[window] * np.float32(half)
    near = middle - span
    return near, np.add(middle, span, out=middle)


def _enter_ellipsoid(start: Vector, rays: tuple[Floats, Floats, Floats], half: Vector) -> Floats:
    offset = [np.float32(start[axis] / half[axis]) for axis in range(3)]
    unit = [rays[axis] * np.float32(1 / half[axis]) for axis in range(3)]
    squared = unit[0] * unit[0] + unit[1] * unit[1] + unit[2] * unit[2]
    along = unit[0] * offset[0] + unit[1] * offset[1] + unit[2] * offset[2]
    beyond = np.float32(offset[0] ** 2 + offset[1] ** 2 + offset[2] ** 2 - 1)
    inside = along * along - squared * beyond
    root = np.sqrt(np.maximum(inside, 0))
    entry: Floats = np.where(inside > 0, (-along - root) / squared, np.float32(np.inf))
    return entry


def _inside(view: View, room: Room) -> Floats:
    """Depth of the room's walls, floor and ceiling, seen from inside."""
    far: Floats = np.full(view.rays.shape[1:], np.inf, np.float32)
    low = (-room.width / 2, -room.length / 2, 0.0)
    high = (room.width / 2, room.length / 2, room.height)
    for axis in range(3):
        rays = _inverted(view.rays[axis])
        to_low, to_high = (np.float32(end[axis] - view.origin[axis]) for end in (low, high))
        np.minimum(far, np.where(rays.inverse > 0, to_high, to_low) * rays.inverse, out=far)
    return far


def _windows(view: View, solids: Sequence[Solid]) -> Iterator[tuple[int, tuple[slice, slice]]]:
    """Yield the solids in view, each with the rows and columns of pixels that may see it."""
    if not solids:
        return
    x, y, z = np.moveaxis((_corners(solids) - np.array(view.origin)) @ view.axes.T, 2, 0)
    size = np.array(view.rays.shape[:0:-1])
    ahead = np.maximum(z, NEAREST)
    places = np.stack([x / ahead * FOCAL_X + 0.5, y / ahead * FOCAL_Y + 0.5], axis=2) * size
    low = np.clip(np.floor(places.min(axis=1)), 0, size).astype(int)
    high = np.clip(np.ceil(places.max(axis=1)), 0, size).astype(int)
    crossing = (z < NEAREST).any(axis=1)
    low[crossing], high[crossing] = 0, size
    for number in np.flatnonzero((z > NEAREST).any(axis=1) & (low < high).all(axis=1)):
        (left, top), (right, bottom) = low[number], high[number]
        yield int(number), np.s_[top:bottom, left:right]


def _corners(solids: Sequence[Solid]) -> NDArray[np.float64]:
    """The corners ``(S, 8, 3)`` of the solids in the world."""
    yaw = np.array([solid.yaw for solid in solids])[:, None]
    local = SIGNS * np.array([solid.half for solid in solids])[:, None]
    x = np.cos(yaw) * local[..., 0] - np.sin(yaw) * local[..., 1]
    y = np.sin(yaw) * local[..., 0] + np.cos(yaw) * local[..., 1]
    centres = np.array([solid.centre for solid in solids])[:, None]
    corners: NDArray[np.float64] = np.stack([x, y, local[..., 2]], axis=2) + centres
    return corners


def _local(point: Vector, solid: Solid) -> Vector:
    x, y, z = (point[axis] - solid.centre[axis] for axis in range(3))
    cosine, sine = math.cos(solid.yaw), math.sin(solid.yaw)
    return cosine * x + sine * y, cosine * y - sine * x, z
