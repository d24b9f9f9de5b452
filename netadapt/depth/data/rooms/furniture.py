"""Pieces of furniture, each made of a few boxes and ellipsoids.

Coordinates of a piece, in metres: x along its front, y from its back (0) to its front, z up from
the floor.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random

from netadapt.depth.data.rooms import palette
from netadapt.depth.data.rooms.scene import Pattern, Surface

Span = tuple[float, float]


@dataclass(frozen=True)
class Part:
    """A box, or the ellipsoid inside it; each axis has its low and high end."""

    x: Span
    y: Span
    z: Span
    side: Surface
    top: Surface
    is_round: bool = False
    yaw: float = 0.0


@dataclass
class Piece:
    """Furniture under construction: its footprint and its parts."""

    width: float
    depth: float
    parts: list[Part] = field(default_factory=list)

    def add(
        self, x: Span, y: Span, z: Span, side: Surface, top: Surface | None = None, **shape: float
    ) -> None:
        """Add a box part; ``top`` defaults to ``side``."""
        self.parts.append(Part(x, y, z, side, top or side, **shape))  # type: ignore[arg-type]

    def legs(self, height: float, thickness: float, surface: Surface) -> None:
        """Four legs at the corners of the footprint."""
        edge = self.width / 2 - thickness
        for x in (-edge - thickness, edge):
            for y in (0.0, self.depth - thickness):
                self.add((x, x + thickness), (y, y + thickness), (0, height), surface)

    def clutter(self, rng: Random, x: Span, y: Span, z: float, count: int) -> None:
        """Small things standing on a top at height ``z``."""
        for _ in range(count):
            wide, deep = rng.uniform(0.04, 0.16), rng.uniform(0.04, 0.14)
            tall = rng.choice((rng.uniform(0.02, 0.08), rng.uniform(0.08, 0.35)))
            left, back = rng.uniform(x[0], x[1] - wide), rng.uniform(y[0], y[1] - deep)
            surface = rng.choice((palette.plain, palette.fabric, palette.picture))(rng)
            self.parts.append(
                Part(
                    (left, left + wide),
                    (back, back + deep),
                    (z, z + tall),
                    surface,
                    palette.plain(rng),
                    is_round=rng.random() < 0.3,
                )
            )


def cabinet(rng: Random) -> Piece:
    """A chest of drawers, cupboard or wardrobe."""
    piece = Piece(rng.uniform(0.5, 1.8), rng.uniform(0.35, 0.6))
    height = rng.choice((rng.uniform(0.5, 1.1), rng.uniform(1.4, 2.1)))
    body = palette.furniture(rng)
    half = piece.width / 2
    piece.add((-half, half), (0, piece.depth), (0, height), palette.fronts(rng, body), body)
    if height < 1.2:
        piece.clutter(rng, (-half, half), (0, piece.depth), height, rng.randint(1, 5))
        if rng.random() < 0.3:
            _screen(piece, rng, height)
        elif rng.random() < 0.4:
            _lamp(piece, rng, rng.uniform(-half + 0.15, half - 0.15), height)
    return piece


def bookcase(rng: Random) -> Piece:
    """Shelves full of books."""
    piece = Piece(rng.uniform(0.6, 2.4), rng.uniform(0.25, 0.4))
    half, height = piece.width / 2, rng.uniform(1.0, 2.2)
    piece.add((-half, half), (0, piece.depth), (0, height), palette.books(rng), palette.wood(rng))
    piece.clutter(rng, (-half, half), (0, piece.depth), height, rng.randint(0, 3))
    return piece


def table(rng: Random) -> Piece:
    """A dining, coffee or work table."""
    piece = Piece(rng.uniform(0.7, 2.0), rng.uniform(0.5, 1.0))
    height = rng.choice((rng.uniform(0.35, 0.5), rng.uniform(0.7, 0.78), 0.74))
    half, surface = piece.width / 2, palette.furniture(rng)
    piece.add((-half, half), (0, piece.depth), (height - 0.04, height), surface)
    piece.legs(height - 0.04, rng.uniform(0.04, 0.09), surface)
    piece.clutter(rng, (-half, half), (0, piece.depth), height, rng.randint(1, 7))
    return piece


def desk(rng: Random) -> Piece:
    """A desk with a screen, drawers on one side, papers."""
    piece = Piece(rng.uniform(1.1, 1.9), rng.uniform(0.6, 0.8))
    half, surface = piece.width / 2, palette.furniture(rng)
    piece.add((-half, half), (0, piece.depth), (0.71, 0.75), surface)
    piece.add(
        (half - 0.45, half), (0.05, piece.depth - 0.03), (0, 0.71), palette.fronts(rng, surface)
    )
    piece.add((-half, -half + 0.04), (0, piece.depth), (0, 0.71), surface)
    _screen(piece, rng, 0.75)
    piece.clutter(rng, (-half, half), (0.1, piece.depth), 0.75, rng.randint(2, 7))
    return piece


def chair(rng: Random) -> Piece:
    """A chair with a back."""
    size = rng.uniform(0.4, 0.55)
    piece = Piece(size, size)
    half, seat = size / 2, rng.uniform(0.42, 0.5)
    cloth = palette.fabric(rng) if rng.random() < 0.6 else palette.furniture(rng)
    piece.add((-half, half), (0, size), (seat - rng.uniform(0.03, 0.1), seat), cloth)
    piece.add((-half, half), (0, 0.05), (seat + 0.05, seat + rng.uniform(0.35, 0.55)), cloth)
    piece.legs(seat - 0.03, 0.04, palette.furniture(rng))
    return piece


def sofa(rng: Random) -> Piece:
    """An armchair or sofa with cushions."""
    piece = Piece(rng.choice((rng.uniform(0.8, 1.0), rng.uniform(1.5, 2.3))), rng.uniform(0.8, 1.0))
    half, cloth = piece.width / 2, palette.fabric(rng)
    seat, back, arm = rng.uniform(0.38, 0.46), rng.uniform(0.7, 0.95), rng.uniform(0.55, 0.65)
    piece.add((-half, half), (0, piece.depth), (0.05, seat), cloth)
    piece.add((-half, half), (0, 0.25), (seat, back), cloth)
    for x in (-half, half - 0.18):
        piece.add((x, x + 0.18), (0.1, piece.depth), (seat, arm), cloth)
    for _ in range(rng.randint(0, 3)):
        left = rng.uniform(-half + 0.2, half - 0.6)
        cushion = (left, left + 0.4), (0.22, 0.42), (seat, seat + 0.38)
        piece.add(*cushion, palette.fabric(rng), is_round=True)
    return piece


def bed(rng: Random) -> Piece:
    """A bed with its head to the wall, pillows and a headboard."""
    piece = Piece(rng.uniform(0.9, 1.9), rng.uniform(1.9, 2.1))
    half, top, frame = piece.width / 2, rng.uniform(0.45, 0.65), palette.furniture(rng)
    piece.add((-half, half), (0, piece.depth), (0.05, top - 0.2), frame)
    piece.add(
        (-half - 0.01, half + 0.01), (0.05, piece.depth), (top - 0.2, top), palette.fabric(rng)
    )
    piece.add((-half, half), (0.5, piece.depth + 0.02), (top, top + 0.04), palette.fabric(rng))
    piece.add((-half, half), (0, 0.06), (0, rng.uniform(0.8, 1.2)), frame)
    pillows = 1 if piece.width < 1.3 else 2
    for number in range(pillows):
        middle = (number + 0.5) / pillows * piece.width - half
        pillow = (middle - 0.32, middle + 0.32), (0.08, 0.5), (top - 0.03, top + 0.2)
        piece.add(*pillow, palette.fabric(rng), is_round=True)
    return piece


def kitchen(rng: Random) -> Piece:
    """A counter with cupboards below and above, sometimes a tall refrigerator at its end."""
    piece = Piece(rng.uniform(1.4, 3.2), 0.62)
    half, body, worktop = piece.width / 2, palette.furniture(rng), palette.floor(rng)
    front = palette.fronts(rng, body)
    piece.add((-half, half), (0, 0.6), (0, 0.87), front, body)
    piece.add((-half, half), (0, 0.62), (0.87, 0.91), worktop)
    if rng.random() < 0.75:
        piece.add((-half, half), (0, 0.34), (rng.uniform(1.35, 1.5), 2.1), front, body)
    if rng.random() < 0.4:
        white = palette.plain(rng, (0.7, 0.95))
        piece.add((half - 0.65, half), (0, 0.68), (0, 1.75), white)
    if rng.random() < 0.6:
        left = rng.uniform(-half, half - 0.6)
        dark = palette.plain(rng, (0.05, 0.8))
        piece.add((left, left + 0.58), (0, 0.64), (0.02, 0.93), dark)
    piece.clutter(rng, (-half, half - 0.65), (0.05, 0.55), 0.91, rng.randint(2, 8))
    return piece


def boxes(rng: Random) -> Piece:
    """A stack of parcels, a bin or a ball."""
    piece = Piece(0.6, 0.6)
    height = 0.0
    for _ in range(rng.randint(1, 3)):
        half, deep, tall = rng.uniform(0.1, 0.3), rng.uniform(0.1, 0.3), rng.uniform(0.12, 0.5)
        surface = rng.choice((palette.plain, palette.fabric, palette.wood))(rng)
        piece.parts.append(
            Part(
                (-half, half),
                (0.3 - deep, 0.3 + deep),
                (height, height + tall),
                surface,
                surface,
                is_round=height > 0 and rng.random() < 0.3,
                yaw=rng.uniform(-0.5, 0.5),
            )
        )
        height += tall
    return piece


def plant(rng: Random) -> Piece:
    """A pot plant or a floor lamp."""
    piece = Piece(0.5, 0.5)
    if rng.random() < 0.4:
        _lamp(piece, rng, 0.0, 0.0, tall=rng.uniform(1.3, 1.7))
        return piece
    piece.add((-0.15, 0.15), (0.1, 0.4), (0, 0.3), palette.plain(rng))
    green = palette.colour(rng, (0.2, 0.38), (0.4, 0.8), (0.2, 0.6))
    piece.add((-0.02, 0.02), (0.23, 0.27), (0.3, 1.0), palette.wood(rng))
    leaves = Surface(Pattern.NOISE, green, palette.shade(green, 0.15), 0.15)
    for _ in range(rng.randint(2, 5)):
        x, y, z = rng.uniform(-0.1, 0.1), rng.uniform(0.15, 0.35), rng.uniform(0.45, 1.1)
        r = rng.uniform(0.1, 0.25)
        piece.add((x - r, x + r), (y - r, y + r), (z - r, z + r), leaves, is_round=True)
    return piece


def _screen(piece: Piece, rng: Random, z: float) -> None:
    half, tall = rng.uniform(0.2, 0.5), rng.uniform(0.3, 0.6)
    x = rng.uniform(-piece.width / 2 + half, max(-piece.width / 2 + half, piece.width / 2 - half))
    black = palette.plain(rng, (0.03, 0.2))
    y = piece.depth * 0.3
    piece.add((x - half, x + half), (y, y + 0.05), (z + 0.06, z + 0.06 + tall), black)
    piece.add((x - 0.1, x + 0.1), (y - 0.08, y + 0.12), (z, z + 0.06), black)


def _lamp(piece: Piece, rng: Random, x: float, z: float, tall: float = 0.4) -> None:
    y, shade = piece.depth / 2, palette.plain(rng, (0.7, 1))
    glowing = Surface(shade.pattern, shade.first, shade.second, 0.5, rng.uniform(0, 1.2))
    piece.add((x - 0.02, x + 0.02), (y - 0.02, y + 0.02), (z, z + tall), palette.plain(rng))
    piece.add((x - 0.09, x + 0.09), (y - 0.09, y + 0.09), (z, z + 0.03), palette.plain(rng))
    top = z + tall
    piece.add((x - 0.15, x + 0.15), (y - 0.15, y + 0.15), (top - 0.1, top + 0.15), glowing)


Maker = Callable[[Random], Piece]
ALONG_WALLS: Mapping[str, tuple[Maker, ...]] = {
    "living": (sofa, sofa, cabinet, bookcase, plant, desk, cabinet, chair, boxes),
    "bedroom": (bed, cabinet, cabinet, desk, chair, bookcase, plant, boxes),
    "kitchen": (kitchen, kitchen, kitchen, cabinet, table, boxes),
    "office": (desk, desk, desk, cabinet, bookcase, bookcase, plant, boxes, chair),
    "dining": (cabinet, chair, bookcase, plant, cabinet, sofa, boxes),
}
IN_THE_MIDDLE: Mapping[str, tuple[Maker, ...]] = {
    "living": (table, sofa, chair, boxes, table),
    "bedroom": (chair, boxes, plant),
    "kitchen": (table, chair, chair),
    "office": (chair, desk, table, chair, boxes),
    "dining": (table, chair, chair, table, chair),
}
