"""Scaling all groups alike: what one would do without a search."""

from collections.abc import Mapping
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from netadapt.pruning import Widths
from netadapt.search.goal import Limits
from netadapt.search.proposals import WidthGrid
from netadapt.search.saliency import Criterion
from netadapt.search.state import SearchState
from netadapt.search.strategies.base import Strategy


class UniformStrategy(Strategy):
    """One factor for all groups: the largest that meets the iteration's limits."""

    channel_order: ClassVar[Criterion] = "share"

    def propose(self, state: SearchState, limits: Limits) -> Mapping[str, Widths]:
        """Scale the base network's widths down until the limits are met."""
        grid, costs = self.space.grid, self.space.costs
        rows = uniform_widths(grid)
        current = costs.prunable.vector(state.current.widths)
        rows = rows[(rows <= current).all(axis=1) & (rows < current).any(axis=1)]
        meets = costs.meet(rows, limits)
        if not meets.any():
            return {}
        row = rows[int(np.argmax(meets))].tolist()
        return {"uniform": dict(zip(grid.full, row, strict=True))}


def uniform_widths(grid: WidthGrid) -> NDArray[np.int64]:
    """Return all ``(N, G)`` networks that one factor on the widths gives, widest first.

    At a factor each group has the widest of its possible widths that is not above the factor
    times its full width, or its smallest.
    """
    options = [np.array(grid.options(group, full)) for group, full in grid.full.items()]
    shares = [widths / widths[0] for widths in options]
    factors = np.unique(np.concatenate(shares))[::-1]
    columns = []
    for widths, share in zip(options, shares, strict=True):
        wider = (share[:, None] > factors).sum(axis=0)  # how many options are too wide
        columns.append(widths[np.minimum(wider, len(widths) - 1)])
    networks = np.stack(columns, axis=1)
    changed = np.append(True, (np.diff(networks, axis=0) != 0).any(axis=1))
    distinct: NDArray[np.int64] = networks[changed].astype(np.int64)
    return distinct
