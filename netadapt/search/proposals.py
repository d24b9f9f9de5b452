"""Widths that meet an iteration's limits, found by table look-ups alone."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from netadapt.pruning import PrunableModel, Widths
from netadapt.pruning.blocks import Ties, tied_rows
from netadapt.search.costs import Costs
from netadapt.search.goal import Limits


@dataclass(frozen=True)
class WidthGrid:
    """The widths that a search may give to a group.

    Attributes:
        full: the widths of the base network.
        multiple: widths are multiples of it.
        lowest_share: and not below this share of the full width.
        steps: how many channels of a group go at once, where it is more than one.
        ties: the blocks that may be dropped, whose width is 1 or 0; for each, the groups that
            have the same width without it.
    """

    full: Mapping[str, int]
    multiple: int
    lowest_share: float
    steps: Mapping[str, int] = field(default_factory=dict)
    ties: Ties = field(default_factory=dict)

    @classmethod
    def of(cls, prunable: PrunableModel, multiple: int, lowest_share: float) -> "WidthGrid":
        """Return the grid of a network."""
        steps = {name: group.step for name, group in prunable.groups.items()}
        return cls(prunable.widths, multiple, lowest_share, steps, prunable.ties)

    def lowest(self, group: str) -> int:
        """The smallest width of ``group``."""
        if group in self.ties:
            return 0
        full, multiple = self.full[group], self._multiple(group)
        share = -(-int(full * self.lowest_share) // multiple) * multiple
        return min(full, max(multiple, share))

    def below(self, group: str, width: int) -> list[int]:
        """The widths of ``group`` smaller than ``width``, widest first."""
        if group in self.ties:
            return list(range(width))
        multiple = self._multiple(group)
        highest = (width - 1) // multiple * multiple
        return list(range(highest, self.lowest(group) - 1, -multiple))

    def options(self, group: str, width: int) -> list[int]:
        """``width`` and all that ``group`` can be narrowed to from it, widest first."""
        return [width, *self.below(group, width)]

    def narrowest(self, *, with_blocks: bool = False) -> dict[str, int]:
        """Every group at its smallest width; all blocks are dropped, or none is."""
        least = {group: self.lowest(group) for group in self.full}
        return least | dict.fromkeys(self.ties, 1) if with_blocks else least

    def tied(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Narrow ``(B, G)`` widths until those that dropped blocks tie are the same."""
        return tied_rows(rows, list(self.full), self.ties)

    def _multiple(self, group: str) -> int:
        return math.lcm(self.multiple, self.steps.get(group, 1))


def one_group_each(
    widths: Widths, grid: WidthGrid, costs: Costs, limits: Limits
) -> dict[str, dict[str, int]]:
    """Return, by group, the network with that group alone narrowed until ``limits`` are met.

    The group has the widest width that meets them; groups that cannot are left out. A block is
    dropped. Groups that dropped blocks tie are narrowed together, under the name of the first. All
    widths of all groups are predicted in one batch of table look-ups.
    Source: Yang et al., NetAdapt, ECCV 2018, algorithm 1.
    """
    options = [(group, width) for group in grid.full for width in grid.below(group, widths[group])]
    if not options:
        return {}
    rows = np.tile(costs.prunable.vector(widths), (len(options), 1))
    column = {group: place for place, group in enumerate(grid.full)}
    for row, (group, width) in zip(rows, options, strict=True):
        row[column[group]] = width
    rows = grid.tied(rows)
    meets = costs.meet(rows, limits) & ~np.isnan(costs.batch("ms", rows))
    first: dict[str, int] = {}
    for place in np.flatnonzero(meets).tolist():
        first.setdefault(options[place][0], place)  # widest first
    found: dict[str, dict[str, int]] = {}
    for group, place in first.items():
        network = dict(zip(grid.full, rows[place].tolist(), strict=True))
        if network not in found.values():
            found[group] = network
    return found


def narrowed_until(
    widths: Mapping[str, int],
    steps: Sequence[str],
    grid: WidthGrid,
    costs: Costs,
    limits: Limits,
) -> dict[str, int] | None:
    """Narrow one group after the other by one step of the grid, until ``limits`` are met.

    Args:
        widths: where to begin.
        steps: the group to narrow at each step.
        grid: the widths allowed.
        costs: what they cost.
        limits: what they may cost.

    Returns:
        The first widths that meet the limits, or ``None`` if none do.
    """
    now = dict(widths)
    rows = []
    for group in steps:
        now[group] = grid.below(group, now[group])[0]
        rows.append(list(now.values()))
    if not rows:
        return None
    meets = costs.meet(np.array(rows), limits)
    if not meets.any():
        return None
    return dict(zip(now, rows[int(np.argmax(meets))], strict=True))
