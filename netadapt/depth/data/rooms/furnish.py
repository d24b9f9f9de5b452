"""Places furniture in a room: along walls, in the middle and on the walls."""

import math
from random import Random

from netadapt.depth.data.rooms import palette
from netadapt.depth.data.rooms.furniture import ALONG_WALLS, IN_THE_MIDDLE, Part, Piece
from netadapt.depth.data.rooms.scene import Camera, Room, Solid

CLEARANCE_M = 0.85
TRIES = 8
QUARTER = math.pi / 2
# All solids share a few yaws: rays are rotated once for each of them.
YAW_STEPS = 9
YAW_STEP = QUARTER / YAW_STEPS
VIEW_SLOPE, VIEW_SLACK_M = 0.75, 0.3

Footprint = tuple[float, float, float, float]


class Furnisher:
    """Places pieces where the floor is free and the camera's view stays open."""

    def __init__(self, rng: Random, room: Room, camera: Camera) -> None:
        self.rng, self.room, self.camera = rng, room, camera
        self.solids: list[Solid] = []
        self.taken: list[Footprint] = []

    def furnish(self, style: str) -> None:
        """Fill the room with furniture of ``style``."""
        rng = self.rng
        if rng.random() < 0.3:
            self._jut()
        if rng.random() < 0.25:
            self._partition()
        perimeter = 2 * (self.room.width + self.room.length)
        for _ in range(round(perimeter * rng.uniform(0.35, 0.85))):
            self._against_wall(rng.choice(ALONG_WALLS[style])(rng))
        area = self.room.width * self.room.length
        for _ in range(min(8, round(area * rng.uniform(0.05, 0.3)))):
            self._anywhere(rng.choice(IN_THE_MIDDLE[style])(rng))
        if rng.random() < 0.35:
            self._rug()
        for _ in range(rng.randint(1, 7)):
            self._on_wall()

    def _against_wall(self, piece: Piece) -> None:
        for _ in range(TRIES):
            wall = self.rng.randrange(4)
            reach = self._wall_length(wall) / 2 - piece.width / 2
            if reach < 0:
                continue
            along, gap = self.rng.uniform(-reach, reach), self.rng.choice((0.01, 0.02, 0.1))
            if self._place(piece, *self._wall_spot(wall, along, gap)):
                return

    def _anywhere(self, piece: Piece) -> None:
        for _ in range(TRIES):
            reach = max(piece.width, piece.depth) * 0.75
            if 2 * reach > min(self.room.width, self.room.length):
                return
            x = self.rng.uniform(reach - self.room.width / 2, self.room.width / 2 - reach)
            y = self.rng.uniform(reach - self.room.length / 2, self.room.length / 2 - reach)
            quarter = self.rng.randrange(4) * QUARTER
            turned = quarter + YAW_STEP * self.rng.randint(-4, 4) * (self.rng.random() < 0.4)
            if self._place(piece, x, y, turned):
                return

    def _place(self, piece: Piece, x: float, y: float, yaw: float) -> bool:
        footprint = _footprint(piece, x, y, yaw)
        if any(_overlap(footprint, other) for other in self.taken):
            return False
        height = max(part.z[1] for part in piece.parts)
        eye_x, eye_y, eye_z = self.camera.position
        near = math.hypot(
            max(footprint[0] - eye_x, 0, eye_x - footprint[1]),
            max(footprint[2] - eye_y, 0, eye_y - footprint[3]),
        )
        if near < (CLEARANCE_M if height > eye_z - 0.5 else 0.35):
            return False
        self.taken.append(footprint)
        self._build(piece, x, y, yaw)
        return True

    def _build(self, piece: Piece, x: float, y: float, yaw: float) -> None:
        """Turn the parts into solids, unless the camera cannot see the piece."""
        if _in_view(self.camera, _footprint(piece, x, y, yaw)):
            self.solids += [_solid(part, x, y, yaw) for part in piece.parts]

    def _jut(self) -> None:
        """A chimney breast, pillar or half wall: full height, in the colour of the walls."""
        rng = self.rng
        piece = Piece(rng.uniform(0.3, 1.6), rng.uniform(0.2, 1.4))
        surface = self.room.walls[0]
        half = piece.width / 2
        piece.add((-half, half), (0, piece.depth), (0, self.room.height), surface)
        self._against_wall(piece)

    def _partition(self) -> None:
        """A wall across the camera's view, with a doorway in it."""
        rng, (eye_x, eye_y, _) = self.rng, self.camera.position
        ahead = rng.uniform(1.8, 4)
        x, y = eye_x + ahead * math.cos(self.camera.yaw), eye_y + ahead * math.sin(self.camera.yaw)
        if abs(x) > self.room.width / 2 - 0.8 or abs(y) > self.room.length / 2 - 0.8:
            return
        facing = round(self.camera.yaw / QUARTER) * QUARTER
        door = rng.uniform(0.8, 2)
        for side in (-1, 1):
            wing = Piece(rng.uniform(1, 3.5), 0.12)
            wing.add(
                (-wing.width / 2, wing.width / 2),
                (0, 0.12),
                (0, self.room.height),
                self.room.walls[1],
            )
            reach = side * (door + wing.width) / 2
            self._place(
                wing, x - reach * math.sin(facing), y + reach * math.cos(facing), facing + QUARTER
            )

    def _rug(self) -> None:
        rng = self.rng
        x, y = rng.uniform(-0.2, 0.2) * self.room.width, rng.uniform(-0.2, 0.2) * self.room.length
        half = (
            rng.uniform(0.15, 0.35) * self.room.width,
            rng.uniform(0.15, 0.35) * self.room.length,
        )
        cloth = palette.fabric(rng)
        self.solids.append(Solid((x, y, 0.005), (*half, 0.006), cloth, cloth))

    def _on_wall(self) -> None:
        """A picture, window, door, curtain, board or shelf hung on a wall, between furniture."""
        rng = self.rng
        kind = rng.random()
        thick, low = 0.03, rng.uniform(1.1, 1.5)
        wide, high = rng.uniform(0.2, 0.9), low + rng.uniform(0.2, 0.7)
        if kind < 0.45:
            side = palette.picture(rng)
        elif kind < 0.7:
            side, wide, low, high = palette.window(rng), rng.uniform(0.7, 2), 0.85, 2.05
        elif kind < 0.84:
            side = palette.fronts(rng, palette.furniture(rng))
            wide, low, high = rng.uniform(0.8, 1), 0.0, 2.05
        elif kind < 0.93:
            side, wide, low, high = palette.fabric(rng), rng.uniform(0.4, 1.6), 0.1, 2.2
            thick = 0.1
        else:
            side, wide, high, thick = palette.wood(rng), rng.uniform(0.5, 1.5), low + 0.04, 0.25
        wall = rng.randrange(4)
        reach = self._wall_length(wall) / 2 - wide / 2
        if reach <= 0:
            return
        part = Part(
            (-wide / 2, wide / 2), (0, thick), (low, min(high, self.room.height)), side, side
        )
        self.solids.append(_solid(part, *self._wall_spot(wall, rng.uniform(-reach, reach), 0.0)))

    def _wall_length(self, wall: int) -> float:
        return self.room.length if wall % 2 == 0 else self.room.width

    def _wall_spot(self, wall: int, along: float, gap: float) -> tuple[float, float, float]:
        """Position and yaw at which a piece's back stands ``gap`` from a wall."""
        inset_x, inset_y = self.room.width / 2 - gap, self.room.length / 2 - gap
        return (
            (inset_x, along, QUARTER),
            (along, inset_y, 2 * QUARTER),
            (-inset_x, along, 3 * QUARTER),
            (along, -inset_y, 0.0),
        )[wall]


def _solid(part: Part, x: float, y: float, yaw: float) -> Solid:
    middle = [(low + high) / 2 for low, high in (part.x, part.y, part.z)]
    half = [max((high - low) / 2, 0.002) for low, high in (part.x, part.y, part.z)]
    cosine, sine = math.cos(yaw), math.sin(yaw)
    centre = (
        x + cosine * middle[0] - sine * middle[1],
        y + sine * middle[0] + cosine * middle[1],
        middle[2],
    )
    turned = yaw + part.yaw
    quarters, step = divmod(round(turned / YAW_STEP), YAW_STEPS)
    if quarters % 2:
        half = [half[1], half[0], half[2]]
    return Solid(
        centre,
        (half[0], half[1], half[2]),
        part.side,
        part.top,
        step * YAW_STEP,
        is_round=part.is_round,
    )


def _footprint(piece: Piece, x: float, y: float, yaw: float) -> Footprint:
    cosine, sine = math.cos(yaw), math.sin(yaw)
    middle_x, middle_y = x - sine * piece.depth / 2, y + cosine * piece.depth / 2
    half_x = (abs(cosine) * piece.width + abs(sine) * piece.depth) / 2
    half_y = (abs(sine) * piece.width + abs(cosine) * piece.depth) / 2
    return middle_x - half_x, middle_x + half_x, middle_y - half_y, middle_y + half_y


def _in_view(camera: Camera, footprint: Footprint) -> bool:
    """Whether a piece may be seen: not wholly behind the camera or to one side of its view."""
    corners = []
    for x in footprint[:2]:
        for y in footprint[2:]:
            east, north = x - camera.position[0], y - camera.position[1]
            ahead = east * math.cos(camera.yaw) + north * math.sin(camera.yaw)
            aside = north * math.cos(camera.yaw) - east * math.sin(camera.yaw)
            corners.append((ahead, aside, max(ahead, 0) * VIEW_SLOPE + VIEW_SLACK_M))
    return not (
        all(ahead < 0 for ahead, _, _ in corners)
        or all(aside > edge for _, aside, edge in corners)
        or all(aside < -edge for _, aside, edge in corners)
    )


def _overlap(one: Footprint, other: Footprint) -> bool:
    return one[0] < other[1] and other[0] < one[1] and one[2] < other[3] and other[2] < one[3]
