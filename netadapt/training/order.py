"""The order of training examples."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray


def drawn(size: int, draw: int, batch_size: int, seed: int) -> list[tuple[int, int]]:
    """Return ``(epoch, index)`` of the examples of the ``draw``-th batch, from 0.

    Every epoch has each of the ``size`` examples once, in its own random order. There is no gap
    between epochs, so a batch may contain examples of two.
    """
    places = range(draw * batch_size, (draw + 1) * batch_size)
    epochs = (divmod(place, size) for place in places)
    return [(epoch, int(_order(size, seed, epoch)[position])) for epoch, position in epochs]


@lru_cache(maxsize=4)
def _order(size: int, seed: int, epoch: int) -> NDArray[np.int64]:
    return np.random.default_rng([seed, epoch]).permutation(size)
