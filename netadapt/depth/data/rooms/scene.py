"""The parts of a procedural room. Metres, z up, angles in radians, colours linear rgb."""

from dataclasses import dataclass
from enum import IntEnum

Vector = tuple[float, float, float]
Colour = tuple[float, float, float]


class Pattern(IntEnum):
    """How a surface is painted from its two colours."""

    PLAIN = 0
    NOISE = 1
    STRIPES = 2
    CHECKS = 3
    WOOD = 4
    TILES = 5
    BOOKS = 6
    PANELS = 7
    PICTURE = 8
    WINDOW = 9


@dataclass(frozen=True)
class Surface:
    """A painted face: pattern, two colours, its period in metres and how much it glows."""

    pattern: Pattern
    first: Colour
    second: Colour
    period: float = 0.3
    glow: float = 0.0


@dataclass(frozen=True)
class Solid:
    """A box or ellipsoid turned by ``yaw`` about the vertical.

    ``side`` paints its four sides and ``top`` its top and bottom; an ellipsoid takes ``side``.
    """

    centre: Vector
    half: Vector
    side: Surface
    top: Surface
    yaw: float = 0.0
    is_round: bool = False


@dataclass(frozen=True)
class Light:
    """A point light: its power falls off with the squared distance."""

    position: Vector
    power: Colour


@dataclass(frozen=True)
class Camera:
    """A pinhole camera: ``yaw`` is the heading, ``pitch`` is positive upwards."""

    position: Vector
    yaw: float
    pitch: float
    roll: float


@dataclass(frozen=True)
class Photo:
    """How the camera records: mean brightness, blur in thousandths of the width, noise."""

    brightness: float
    blur: float
    noise: float
    white_balance: Colour


@dataclass(frozen=True)
class Room:
    """Walls, floor and ceiling; the room spans ``+-width/2, +-length/2`` and ``0..height``."""

    width: float
    length: float
    height: float
    walls: tuple[Surface, Surface, Surface, Surface]
    floor: Surface
    ceiling: Surface


@dataclass(frozen=True)
class Scene:
    """Everything that ``render`` needs."""

    seed: int
    room: Room
    solids: tuple[Solid, ...]
    lights: tuple[Light, ...]
    ambient: float
    camera: Camera
    photo: Photo
