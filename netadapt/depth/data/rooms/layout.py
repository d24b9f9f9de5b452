"""Makes a furnished room with a camera in it, as a function of a seed."""

import math
from dataclasses import replace
from random import Random

from netadapt.depth.data.rooms import palette
from netadapt.depth.data.rooms.furnish import Furnisher
from netadapt.depth.data.rooms.furniture import ALONG_WALLS
from netadapt.depth.data.rooms.scene import (
    Camera,
    Light,
    Pattern,
    Photo,
    Room,
    Scene,
    Solid,
    Surface,
)

MIN_OUTLOOK_M = 1.6
TRIES = 8


def make_scene(seed: int) -> Scene:
    """Return the scene of ``seed``: a room, its furniture, its lights and the camera."""
    rng = Random(seed)
    room = _room(rng)
    camera = _camera(rng, room)
    builder = Furnisher(rng, room, camera)
    builder.furnish(rng.choice(sorted(ALONG_WALLS)))
    lights, lamps = _lights(rng, room)
    return Scene(
        seed=seed,
        room=room,
        solids=(*builder.solids, *lamps),
        lights=lights,
        ambient=rng.uniform(0.06, 0.4),
        camera=camera,
        photo=Photo(
            brightness=rng.uniform(0.08, 0.4),
            blur=rng.uniform(1.0, 4.5),
            noise=rng.uniform(0.002, 0.025),
            white_balance=(rng.uniform(0.9, 1.2), 1.0, rng.uniform(0.75, 1.1)),
        ),
    )


def _room(rng: Random) -> Room:
    wall = palette.paint(rng)
    walls = [replace(wall, first=palette.shade(wall.first, rng.uniform(0.93, 1))) for _ in range(4)]
    if rng.random() < 0.35:
        walls[rng.randrange(4)] = palette.paint(rng)
    size = rng.choice((rng.uniform(2.6, 4.5), rng.uniform(3.5, 6), rng.uniform(5, 9)))
    return Room(
        width=size,
        length=size * rng.uniform(0.65, 1.2),
        height=rng.uniform(2.3, 3.0),
        walls=(walls[0], walls[1], walls[2], walls[3]),
        floor=palette.floor(rng),
        ceiling=palette.ceiling(rng),
    )


def _camera(rng: Random, room: Room) -> Camera:
    """Return a camera with an open view, at the height and pitch of a hand-held Kinect."""
    half_x, half_y = room.width / 2 - 0.3, room.length / 2 - 0.3
    best: tuple[float, float, float, float] | None = None
    for _ in range(TRIES):
        x, y = rng.uniform(-half_x, half_x), rng.uniform(-half_y, half_y)
        aim_x, aim_y = rng.uniform(-half_x, half_x), rng.uniform(-half_y, half_y)
        yaw = math.atan2(aim_y - y, aim_x - x)
        outlook = _outlook(room, x, y, yaw)
        if best is None or outlook > best[3]:
            best = (x, y, yaw, outlook)
        if outlook > rng.uniform(MIN_OUTLOOK_M, 4):
            best = (x, y, yaw, outlook)
            break
    assert best is not None
    return Camera(
        position=(best[0], best[1], rng.uniform(1.0, 1.7)),
        yaw=best[2],
        pitch=math.radians(rng.triangular(-25, 5, -8)),
        roll=math.radians(rng.gauss(0, 1.3)),
    )


def _outlook(room: Room, x: float, y: float, yaw: float) -> float:
    along_x, along_y = math.cos(yaw), math.sin(yaw)
    to_x = (math.copysign(room.width / 2, along_x) - x) / (along_x or 1e-9)
    to_y = (math.copysign(room.length / 2, along_y) - y) / (along_y or 1e-9)
    return min(to_x, to_y)


def _lights(rng: Random, room: Room) -> tuple[tuple[Light, ...], tuple[Solid, ...]]:
    lights, lamps = [], []
    for _ in range(rng.choice((1, 1, 2))):
        x = rng.uniform(-0.4, 0.4) * room.width
        y = rng.uniform(-0.4, 0.4) * room.length
        z = room.height - rng.uniform(0.05, 0.6)
        warmth, power = rng.uniform(0.55, 1.05), rng.uniform(1.5, 6)
        lights.append(
            Light((x, y, z - 0.15), (power, power * (0.6 + 0.4 * warmth), power * warmth))
        )
        white = Surface(Pattern.PLAIN, (1, 1, 1), (1, 1, 1), glow=rng.uniform(1, 3))
        size = rng.uniform(0.1, 0.3)
        lamps.append(Solid((x, y, z), (size, size, 0.05), white, white, is_round=True))
    return tuple(lights), tuple(lamps)
