"""Renders a photograph and a depth map of a scene: ray-cast, painted, lit and exposed."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from netadapt.depth.data.frames import Depth, Rgb
from netadapt.depth.data.rooms.raycast import FOCAL_X, Floats, cast, shadowed, view_of
from netadapt.depth.data.rooms.scene import Light, Pattern, Photo, Room, Scene, Solid, Surface
from netadapt.depth.data.rooms.textures import Points, paint

SHADOW_STEP = 2
FACES = 6


def render(scene: Scene, height: int, width: int) -> tuple[Rgb, Depth]:
    """Render ``scene``.

    Returns:
        rgb uint8 ``(height, width, 3)`` and depth float32 ``(height, width)`` in metres.
    """
    view = view_of(scene.camera, height, width)
    depth, seen = cast(view, scene.room, scene.solids)
    points = view.rays * depth + np.array(view.origin, np.float32)[:, None, None]
    faces = _Faces(scene.room, scene.solids)
    colour, normal, glow = faces.look(points, seen, depth / (FOCAL_X * width))
    light = _lighting(scene, points, normal) + glow[..., None]
    return _expose(colour * light, scene.photo, scene.seed), depth


class _Faces:
    """The faces of a scene as arrays, so that all pixels are painted at once.

    Solid 0 is the room; its normals point inwards.
    """

    def __init__(self, room: Room, solids: Sequence[Solid]) -> None:
        centres = [(0.0, 0.0, room.height / 2), *(solid.centre for solid in solids)]
        halves = [(room.width / 2, room.length / 2, room.height / 2), *(s.half for s in solids)]
        yaws = np.array([0.0, *(solid.yaw for solid in solids)])
        self.centre = np.array(centres, np.float32).T.copy()
        self.half = np.array(halves, np.float32).T.copy()
        self.cosine = np.cos(yaws).astype(np.float32)
        self.sine = np.sin(yaws).astype(np.float32)
        self.is_round = np.array([False, *(solid.is_round for solid in solids)])
        surfaces: list[Surface] = [*room.walls, room.floor, room.ceiling]
        for solid in solids:
            surfaces += [solid.side] * 4 + [solid.side if solid.is_round else solid.top] * 2
        self.pattern = np.array([surface.pattern for surface in surfaces])
        self.first = np.array([surface.first for surface in surfaces], np.float32)
        self.second = np.array([surface.second for surface in surfaces], np.float32)
        self.period = np.array([surface.period for surface in surfaces], np.float32)
        self.glow = np.array([surface.glow for surface in surfaces], np.float32)

    def look(
        self, points: Floats, seen: NDArray[np.int64], pixel: Floats
    ) -> tuple[Floats, Floats, Floats]:
        """Return colour ``(H, W, 3)``, normal ``(3, H, W)`` and glow ``(H, W)`` of the points.

        ``pixel`` is the size of a pixel at each point, in metres.
        """
        shape, seen = seen.shape, seen.ravel()
        local = points.reshape(3, -1) - self.centre.take(seen, axis=1)
        cosine, sine = self.cosine.take(seen), self.sine.take(seen)
        local[0], local[1] = (
            cosine * local[0] + sine * local[1],
            cosine * local[1] - sine * local[0],
        )
        half = self.half.take(seen, axis=1)
        scaled = local / half
        size = np.abs(scaled)
        axis = np.where(size[0] > size[1], 0, 1)
        axis[size[2] > np.maximum(size[0], size[1])] = 2
        across = np.where(axis == 0, local[1], local[0]), np.where(axis == 0, scaled[1], scaled[0])
        up = np.where(axis == 2, local[1], local[2]), np.where(axis == 2, scaled[1], scaled[2])
        positive = np.where(axis == 0, scaled[0], np.where(axis == 1, scaled[1], scaled[2])) > 0
        normal = self._normals(seen, scaled / half, axis, positive)
        normal[0], normal[1] = (
            cosine * normal[0] - sine * normal[1],
            sine * normal[0] + cosine * normal[1],
        )
        face = seen * FACES + axis * 2 + positive
        colour = self._paint(face, across, up, pixel.ravel())
        glow = self.glow.take(face).reshape(shape)
        return colour.reshape(*shape, 3), normal.reshape(3, *shape), glow

    def _normals(
        self,
        seen: NDArray[np.int64],
        gradient: Floats,
        axis: NDArray[np.int64],
        positive: NDArray[np.bool_],
    ) -> Floats:
        outwards = np.where(positive, np.float32(1), np.float32(-1))
        sign = np.where(seen == 0, -outwards, outwards)
        normal = np.zeros_like(gradient)
        normal[axis, np.arange(len(seen))] = sign
        curved = np.flatnonzero(self.is_round[seen])
        if len(curved):
            slope = gradient[:, curved]
            normal[:, curved] = slope / np.sqrt((slope * slope).sum(axis=0))
        return normal

    def _paint(
        self,
        face: NDArray[np.int64],
        across: tuple[Floats, Floats],
        up: tuple[Floats, Floats],
        pixel: Floats,
    ) -> Floats:
        """Return colours ``(n, 3)``; ``across`` and ``up`` hold metres and a place in [-1, 1]."""
        pattern = self.pattern.take(face)
        colour = np.empty((len(face), 3), np.float32)
        for kind in Pattern:
            here = np.flatnonzero(pattern == kind)
            if not len(here):
                continue
            on = face.take(here)
            colour[here] = paint(
                kind,
                Points(
                    u=across[0].take(here),
                    v=up[0].take(here),
                    s=across[1].take(here),
                    t=up[1].take(here),
                    period=self.period.take(on),
                    first=self.first.take(on, axis=0),
                    second=self.second.take(on, axis=0),
                    salt=on,
                    blur=pixel.take(here),
                ),
            )
        return colour


def _lighting(scene: Scene, points: Floats, normal: Floats) -> Floats:
    """Return the light ``(H, W, 3)`` at each point: ambient (darker in corners) plus lamps."""
    ambient = scene.ambient * (np.float32(0.8) + np.float32(0.2) * normal[2])
    ambient = ambient * _openness(scene.room, points)
    total = np.repeat(ambient[..., None], 3, axis=2)
    for light in scene.lights:
        total += _lamp(scene, light, points, normal)[..., None] * np.array(light.power, np.float32)
    return total


def _lamp(scene: Scene, light: Light, points: Floats, normal: Floats) -> Floats:
    towards = np.array(light.position, np.float32)[:, None, None] - points
    squared = (towards * towards).sum(axis=0)
    facing = np.maximum((towards * normal).sum(axis=0), 0) / np.sqrt(squared)
    sparse = np.ascontiguousarray(points[:, ::SHADOW_STEP, ::SHADOW_STEP])
    hidden = shadowed(light.position, sparse, scene.solids)
    lit = _enlarge(~hidden, points.shape[1:])
    arriving: Floats = facing * lit / (squared + np.float32(0.6))
    return arriving


def _enlarge(mask: NDArray[np.bool_], shape: tuple[int, ...]) -> Floats:
    """Enlarge a mask to ``shape``, with soft edges."""
    image = Image.fromarray(mask.astype(np.float32))
    return np.asarray(image.resize((shape[1], shape[0]), Image.Resampling.BILINEAR))


def _openness(room: Room, points: Floats) -> Floats:
    """Return 1 far from corners, and less towards edges where two faces of the room meet."""
    high = np.array([room.width / 2, room.length / 2, room.height], np.float32)[:, None, None]
    low = np.array([-room.width / 2, -room.length / 2, 0], np.float32)[:, None, None]
    x, y, z = np.minimum(points - low, high - points)
    second = np.maximum(np.minimum(x, y), np.minimum(np.maximum(x, y), z))
    openness: Floats = 1 - np.float32(0.45) * np.exp(second * np.float32(-3.5))
    return openness


def _expose(radiance: Floats, photo: Photo, seed: int) -> Rgb:
    gain = photo.brightness / (radiance.mean() + 1e-6)
    linear = radiance * (np.array(photo.white_balance, np.float32) * np.float32(gain))
    image = np.sqrt(np.clip(linear, 0, 1))
    rng = np.random.default_rng([seed, 1])
    noise = rng.standard_normal(image.shape[:2], dtype=np.float32) * np.float32(photo.noise)
    image = np.clip(image + noise[..., None], 0, 1) * 255 + np.float32(0.5)
    picture = Image.fromarray(image.astype(np.uint8))
    radius = photo.blur * image.shape[1] / 1000
    return np.array(picture.filter(ImageFilter.BoxBlur(radius)))
