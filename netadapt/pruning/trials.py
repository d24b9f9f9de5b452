"""Which channels to cut at once, to find groups that cannot be cut in few trials."""

import math
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

Trial = Mapping[str, NDArray[np.intp]]  # for each group that is cut, the steps that stay


def trials(steps: Mapping[str, int]) -> Iterator[Trial]:
    """Yield trials, the most telling first; each group has ``steps[name]`` steps, of channels.

    First all groups at two thirds, with their first steps and with their last; all at one step; all
    at random. Then a separating family: for any two groups there is a trial that cuts one and
    leaves the other whole. Then each group alone, with a single step and with all but one. The same
    groups always get the same trials.
    """
    random = np.random.default_rng(0)
    names = [name for name, count in steps.items() if count > 1]

    def drawn(name: str, stay: int) -> NDArray[np.intp]:
        return np.sort(random.choice(steps[name], stay, replace=False)).astype(np.intp)

    def any_width(name: str) -> NDArray[np.intp]:
        return drawn(name, int(random.integers(1, steps[name])))

    thirds = {name: max(1, steps[name] * 2 // 3) for name in names}
    yield {name: np.arange(stay) for name, stay in thirds.items()}
    yield {name: any_width(name) for name in names}
    yield {name: drawn(name, 1) for name in names}
    yield {name: np.arange(steps[name] - stay, steps[name]) for name, stay in thirds.items()}
    yield {name: any_width(name) for name in names}
    for bit in range(math.ceil(math.log2(max(1, len(names))))):
        for value in (0, 1):
            chosen = [name for place, name in enumerate(names) if place >> bit & 1 == value]
            yield {name: any_width(name) for name in chosen}
    for _ in range(3):
        yield {name: drawn(name, steps[name] - 1) for name in names}
        yield {name: any_width(name) for name in names}
    for name in names:
        yield {name: drawn(name, 1)}
        yield {name: drawn(name, steps[name] - 1)}
        yield {name: any_width(name)}
