"""Paints surfaces: a colour for each point (u, v) of a face, in metres."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from netadapt.depth.data.rooms.scene import Pattern

Floats = NDArray[Any]
Ints = NDArray[np.int64]
TABLE = 256
TURN = np.float32(2 * np.pi)


@dataclass(frozen=True)
class Points:
    """Points on painted faces.

    Attributes:
        u, v: ``(n,)`` position on the face in metres.
        s, t: ``(n,)`` the same from -1 at one edge of the face to 1 at the other.
        period: ``(n,)`` metres.
        first, second: ``(n, 3)`` colours.
        salt: ``(n,)`` integer, different for each surface.
        blur: ``(n,)`` size of a pixel on the face, in metres.
    """

    u: Floats
    v: Floats
    s: Floats
    t: Floats
    period: Floats
    first: Floats
    second: Floats
    salt: Ints
    blur: Floats


def paint(pattern: Pattern, points: Points) -> Floats:
    """Colours ``(n, 3)`` of the points, linear rgb."""
    return PAINTERS[pattern](points)


@cache
def noise_table() -> Floats:
    """Return tileable ``(256, 256)`` noise in [0, 1] with the spectrum of natural textures."""
    rng = np.random.default_rng(7)
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(TABLE), np.fft.rfftfreq(TABLE), indexing="ij"))
    frequency[0, 0] = 1
    spectrum = np.fft.rfft2(rng.standard_normal((TABLE, TABLE))) * frequency**-1.1
    spectrum[0, 0] = 0
    field = np.fft.irfft2(spectrum, s=(TABLE, TABLE))
    table: Floats = np.clip(0.5 + field / (4 * field.std()), 0, 1).astype(np.float32)
    return table


@cache
def _random_table() -> Floats:
    return np.random.default_rng(11).random((1024, 3), dtype=np.float32)


def _noise(u: Floats, v: Floats, salt: Ints) -> Floats:
    """Return noise with features from one unit down to a few hundredths of a unit."""
    column = (u * (TABLE / 4)).astype(np.int64) + salt * 37
    row = (v * (TABLE / 4)).astype(np.int64) + salt * 91
    noise: Floats = noise_table()[row & (TABLE - 1), column & (TABLE - 1)]
    return noise


def _random(i: Ints, j: Ints, salt: Ints) -> Floats:
    """Return three random numbers ``(n, 3)`` for each cell (i, j) of each surface."""
    numbers: Floats = _random_table()[((i * 73856093) ^ (j * 19349663) ^ (salt * 83492791)) & 1023]
    return numbers


def _cell(x: Floats) -> tuple[Ints, Floats]:
    cell = np.floor(x)
    return cell.astype(np.int64), x - cell


def _blend(points: Points, weight: Floats) -> Floats:
    mixed: Floats = points.first + (points.second - points.first) * weight[:, None]
    return mixed


def _visible(points: Points, size: Floats, weight: Floats, mean: float) -> Floats:
    """Fade a pattern to its mean where a pixel is too coarse to show its ``size``."""
    contrast = np.clip(size / points.blur * np.float32(0.5) - np.float32(0.5), 0, 1)
    faded: Floats = mean + (weight - mean) * contrast
    return faded


def _plain(points: Points) -> Floats:
    tone = _noise(points.u / (4 * points.period), points.v / (4 * points.period), points.salt)
    colours: Floats = points.first * (np.float32(0.9) + np.float32(0.2) * tone)[:, None]
    return colours


def _speckled(points: Points) -> Floats:
    weight = _noise(points.u / points.period, points.v / points.period, points.salt)
    return _blend(points, _visible(points, points.period, weight, 0.5))


def _stripes(points: Points) -> Floats:
    wave = np.sin(points.u * (TURN / points.period))
    weight = np.clip(0.5 + np.float32(3) * wave, 0, 1)
    return _blend(points, _visible(points, points.period / 2, weight, 0.5))


def _checks(points: Points) -> Floats:
    scale = TURN / points.period
    weight = np.clip(0.5 + 6 * np.sin(points.u * scale) * np.sin(points.v * scale), 0, 1)
    return _blend(points, _visible(points, points.period / 2, weight, 0.5))


def _wood(points: Points) -> Floats:
    plank, across = _cell(points.v / points.period)
    tone = _random(plank, plank, points.salt)[:, 0]
    grain = _noise(points.u / (6 * points.period), across + 3 * tone, points.salt + plank)
    seam = _visible(points, points.period * np.float32(0.2), (across < 0.05) * np.float32(1), 0.05)
    weight = np.float32(0.55) * grain + np.float32(0.35) * tone
    colours: Floats = _blend(points, weight) * (1 - np.float32(0.5) * seam)[:, None]
    return colours


def _tiles(points: Points) -> Floats:
    i, across = _cell(points.u / points.period)
    j, along = _cell(points.v / points.period)
    joint = ((across < 0.06) | (along < 0.06)) * np.float32(1)
    shade = np.float32(0.85) + np.float32(0.3) * _random(i, j, points.salt)[:, 1]
    seen = _visible(points, points.period * np.float32(0.3), joint, 0.1)
    colours: Floats = (
        points.first * shade[:, None] * (1 - seen[:, None]) + points.second * seen[:, None]
    )
    return colours


def _books(points: Points) -> Floats:
    shelf, height = _cell(points.v / points.period)
    thickness = points.period * np.float32(0.12)
    book, across = _cell(points.u / thickness + shelf * np.float32(0.37))
    chance = _random(book, shelf, points.salt)
    spine = chance**2 * np.float32(0.7) + points.second * np.float32(0.25)
    filled = (height < 0.55 + 0.35 * chance[:, 2]) & (across > 0.08) & (chance[:, 1] > 0.08)
    seen = _visible(points, thickness, np.float32(1) * filled, 0.7)[:, None]
    board = ((height > 0.93) * np.float32(1))[:, None]
    inside = spine * seen + points.first * np.float32(0.15) * (1 - seen)
    colours: Floats = inside * (1 - board) + points.first * board
    return colours


def _panels(points: Points) -> Floats:
    _, across = _cell(points.u / points.period + np.float32(0.5))
    _, along = _cell(points.v / (points.period * np.float32(0.8)) + np.float32(0.5))
    groove = ((across < 0.05) | (along < 0.05)) * np.float32(0.6)
    handle = (np.abs(across - 0.5) < 0.12) & (np.abs(along - 0.85) < 0.05)
    grain = np.float32(0.9) + np.float32(0.2) * _noise(points.u, points.v * 4, points.salt)
    seen = _visible(points, points.period * np.float32(0.25), groove, 0.06)
    face = points.first * (grain * (1 - seen))[:, None]
    colours: Floats = np.where(handle[:, None], points.second, face)
    return colours


def _picture(points: Points) -> Floats:
    scale = 1 / (points.period * 2)
    shapes = _noise(points.u * scale, points.v * scale, points.salt)
    level = np.clip((shapes - 0.2) * 8, 0, 4).astype(np.int64)
    image = _random(level, level * 0, points.salt)
    edge = np.maximum(np.abs(points.s), np.abs(points.t))
    mount = ((edge > 0.72) * np.float32(1))[:, None]
    frame = ((edge > 0.9) * np.float32(1))[:, None]
    inside = image * np.float32(0.6) * (1 - mount) + points.second * mount
    colours: Floats = inside * (1 - frame) + points.first * frame
    return colours


def _window(points: Points) -> Floats:
    _, across = _cell(points.s + np.float32(0.045))
    _, along = _cell(points.t + np.float32(0.045))
    edge = np.maximum(np.abs(points.s), np.abs(points.t))
    bar = (((across < 0.09) | (along < 0.09) | (edge > 0.92)) * np.float32(1))[:, None]
    outside = _noise(points.u / 3, points.v / 3, points.salt)
    view = points.second * (np.float32(0.6) + np.float32(0.3) * points.t + outside * 0.3)[:, None]
    colours: Floats = view * (1 - bar) + points.first * np.float32(0.25) * bar
    return colours


PAINTERS: Mapping[Pattern, Callable[[Points], Floats]] = {
    Pattern.PLAIN: _plain,
    Pattern.NOISE: _speckled,
    Pattern.STRIPES: _stripes,
    Pattern.CHECKS: _checks,
    Pattern.WOOD: _wood,
    Pattern.TILES: _tiles,
    Pattern.BOOKS: _books,
    Pattern.PANELS: _panels,
    Pattern.PICTURE: _picture,
    Pattern.WINDOW: _window,
}
