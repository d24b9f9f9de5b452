"""The looks that every picture shares: colours safe for colour-blind readers, labels, axes."""

from matplotlib.axes import Axes

BLACK = "#000000"
BLUE = "#0072B2"
VERMILION = "#D55E00"
GREEN = "#009E73"
PURPLE = "#CC79A7"
ORANGE = "#E69F00"
SKY = "#56B4E9"
"""Okabe and Ito, Color Universal Design, 2008 (its yellow is too faint for lines on white)."""

GREY = "#A8A8A8"
INK = "#404040"
BAND = "#DDD8CC"

SERIES_COLOURS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK)
SERIES_MARKERS = ("o", "s", "^", "D", "v", "P")
SERIES_LINES = ("-", "--", "-.", ":")

SMALL = 9.0
"""Points; no text is smaller, and pictures are 8 inches wide, so it can be read at 800 pixels."""

WIDTH_INCHES = 8.0


def tidy(axes: Axes) -> None:
    """Give ``axes`` a faint grid behind the data and no frame."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#E4E4E4", linewidth=0.7)
    axes.set_axisbelow(True)


def shortened(text: str, longest: int) -> str:
    """Return ``text`` for a label: the middle left out if longer than ``longest`` characters.

    A dollar sign stays one, and starts no formula.
    """
    if len(text) > longest:
        tail = (longest - 1) // 2
        text = f"{text[: longest - 1 - tail]}…{text[len(text) - tail :]}"
    return text.replace("$", r"\$")
