"""Draws random surfaces as they occur indoors."""

import colorsys
from random import Random

from netadapt.depth.data.rooms.scene import Colour, Pattern, Surface


def colour(
    rng: Random,
    hue: tuple[float, float] = (0, 1),
    saturation: tuple[float, float] = (0, 0.6),
    value: tuple[float, float] = (0.1, 0.9),
) -> Colour:
    """A colour drawn from ranges of hue, saturation and value, as linear rgb."""
    red, green, blue = colorsys.hsv_to_rgb(
        rng.uniform(*hue) % 1, rng.uniform(*saturation), rng.uniform(*value)
    )
    return red**2.2, green**2.2, blue**2.2


def shade(base: Colour, factor: float) -> Colour:
    """The same colour, lighter or darker."""
    return min(1, base[0] * factor), min(1, base[1] * factor), min(1, base[2] * factor)


def paint(rng: Random) -> Surface:
    """A painted or papered wall."""
    tone = rng.random()
    if tone < 0.55:
        base = colour(rng, (0.07, 0.15), (0.02, 0.25), (0.6, 0.95))
    elif tone < 0.85:
        base = colour(rng, (0, 1), (0.05, 0.3), (0.5, 0.9))
    else:
        base = colour(rng, (0, 1), (0.3, 0.7), (0.3, 0.8))
    kind = rng.random()
    if kind < 0.76:
        return Surface(Pattern.PLAIN, base, base, rng.uniform(0.3, 1))
    if kind < 0.83:
        return Surface(Pattern.STRIPES, base, shade(base, 0.75), rng.uniform(0.06, 0.3))
    if kind < 0.9:
        return Surface(Pattern.NOISE, base, shade(base, 0.5), rng.uniform(0.2, 0.8))
    if kind < 0.96:
        return Surface(Pattern.TILES, base, shade(base, 0.5), rng.uniform(0.1, 0.3))
    return wood(rng)


def wood(rng: Random) -> Surface:
    """Grained boards."""
    base = colour(rng, (0.04, 0.1), (0.25, 0.75), (0.15, 0.8))
    return Surface(Pattern.WOOD, base, shade(base, rng.uniform(0.3, 0.7)), rng.uniform(0.07, 0.2))


def floor(rng: Random) -> Surface:
    """Boards, carpet, tiles or lino."""
    kind = rng.random()
    if kind < 0.42:
        return wood(rng)
    if kind < 0.72:
        base = colour(rng, (0.03, 0.17), (0.05, 0.4), (0.25, 0.75))
        return Surface(Pattern.NOISE, base, shade(base, 0.6), rng.uniform(0.1, 0.5))
    if kind < 0.92:
        base = colour(rng, (0.03, 0.2), (0.02, 0.35), (0.4, 0.9))
        return Surface(Pattern.TILES, base, shade(base, 0.5), rng.uniform(0.2, 0.5))
    base = colour(rng, value=(0.4, 0.9))
    return Surface(Pattern.CHECKS, base, shade(base, 0.4), rng.uniform(0.4, 0.8))


def ceiling(rng: Random) -> Surface:
    """Nearly white, sometimes panels."""
    base = colour(rng, (0.07, 0.17), (0, 0.12), (0.75, 1))
    pattern = Pattern.TILES if rng.random() < 0.2 else Pattern.PLAIN
    return Surface(pattern, base, shade(base, 0.7), rng.uniform(0.5, 0.7))


def fabric(rng: Random) -> Surface:
    """Cloth and upholstery."""
    base = colour(rng, (0, 1), (0, rng.uniform(0.05, 0.75)), (0.1, 0.85))
    kind = rng.random()
    if kind < 0.5:
        return Surface(Pattern.PLAIN, base, base, rng.uniform(0.1, 0.4))
    if kind < 0.75:
        return Surface(Pattern.NOISE, base, shade(base, 0.5), rng.uniform(0.05, 0.4))
    second = colour(rng, (0, 1), (0, 0.7), (0.2, 0.95))
    pattern = Pattern.STRIPES if kind < 0.9 else Pattern.CHECKS
    return Surface(pattern, base, second, rng.uniform(0.04, 0.25))


def plain(rng: Random, value: tuple[float, float] = (0.08, 0.95)) -> Surface:
    """Plastic, metal, lacquer."""
    base = colour(rng, (0, 1), (0, 0.15) if rng.random() < 0.75 else (0.2, 0.85), value)
    return Surface(Pattern.PLAIN, base, base, 0.5)


def furniture(rng: Random) -> Surface:
    """Wood or paint of cupboards and tables."""
    kind = rng.random()
    if kind < 0.6:
        return wood(rng)
    return plain(rng, (0.6, 0.95) if kind < 0.85 else (0.05, 0.4))


def fronts(rng: Random, body: Surface) -> Surface:
    """Doors and drawers in the colour of ``body``."""
    return Surface(
        Pattern.PANELS,
        body.first,
        colour(rng, saturation=(0, 0.2), value=(0.1, 0.9)),
        rng.uniform(0.35, 0.8),
    )


def books(rng: Random) -> Surface:
    """Shelves of books."""
    return Surface(Pattern.BOOKS, wood(rng).first, colour(rng), rng.uniform(0.26, 0.4))


def picture(rng: Random) -> Surface:
    """A framed picture."""
    frame = colour(rng, (0.05, 0.12), (0, 0.6), (0.05, 0.7))
    mount = colour(rng, saturation=(0, 0.2), value=(0.6, 1))
    return Surface(Pattern.PICTURE, frame, mount, rng.uniform(0.1, 0.5))


def window(rng: Random) -> Surface:
    """A window by day, or dark by night."""
    by_day = rng.random() < 0.75
    frame = colour(rng, (0.05, 0.12), (0, 0.4), (0.5, 1))
    outside = colour(rng, (0.5, 0.65), (0, 0.25), (0.85, 1) if by_day else (0.1, 0.2))
    return Surface(Pattern.WINDOW, frame, outside, 0.5, glow=rng.uniform(0.5, 1.6) * by_day)
