"""One candidate a group: the widest reduction by that group alone that meets the target."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from netadapt.latency.predictor import LatencyPredictor
from netadapt.search.candidate import Proposal


@dataclass(frozen=True)
class WidthGrid:
    """The widths that a search may give to a group.

    Attributes:
        full: the widths of the base network.
        multiple: widths are multiples of it.
        lowest_share: and not below this share of the full width.
    """

    full: Mapping[str, int]
    multiple: int
    lowest_share: float

    def lowest(self, group: str) -> int:
        """The smallest width of ``group``."""
        full = self.full[group]
        share = -(-int(full * self.lowest_share) // self.multiple) * self.multiple
        return min(full, max(self.multiple, share))

    def below(self, group: str, width: int) -> list[int]:
        """The widths of ``group`` smaller than ``width``, widest first."""
        highest = (width - 1) // self.multiple * self.multiple
        return list(range(highest, self.lowest(group) - 1, -self.multiple))

    def narrowest(self) -> dict[str, int]:
        """Every group at its smallest width."""
        return {group: self.lowest(group) for group in self.full}


def propose(
    widths: Mapping[str, int],
    grid: WidthGrid,
    predictor: LatencyPredictor,
    target_ms: float,
    iteration: int,
) -> list[Proposal]:
    """Propose one candidate for every group that can meet ``target_ms`` by itself.

    All widths of all groups are predicted in one batch of table look-ups.
    Source: Yang et al., NetAdapt, ECCV 2018, algorithm 1.
    """
    options = [(group, width) for group in grid.full for width in grid.below(group, widths[group])]
    if not options:
        return []
    rows = np.tile(predictor.prunable.vector(widths), (len(options), 1))
    column = {group: place for place, group in enumerate(predictor.prunable.groups)}
    for row, (group, width) in zip(rows, options, strict=True):
        row[column[group]] = width
    predicted = predictor.batch_or_nan(rows)
    proposals: dict[str, Proposal] = {}
    for (group, width), latency in zip(options, predicted, strict=True):
        if group not in proposals and latency <= target_ms:  # widest first; NaN never meets it
            proposals[group] = Proposal(
                name=f"{iteration}-{group}",
                iteration=iteration,
                group=group,
                widths={**widths, group: width},
                predicted_ms=float(latency),
            )
    return list(proposals.values())
