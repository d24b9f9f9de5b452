"""The networks that a search may choose from, and what they cost."""

from collections.abc import Mapping
from dataclasses import dataclass

from netadapt.errors import UserError
from netadapt.pruning import Widths
from netadapt.search.costs import Costs
from netadapt.search.goal import Kind, Limits
from netadapt.search.proposals import WidthGrid


@dataclass(frozen=True)
class Space:
    """What a strategy knows of the networks; no network is built to ask.

    Attributes:
        grid: the widths that each group may have.
        costs: widths to latency (ms), energy (mJ), MACs, parameters and memory.
    """

    grid: WidthGrid
    costs: Costs

    def cost(self, kind: Kind, widths: Widths) -> float:
        """Return one cost of the network of ``widths``; NaN ms outside the table."""
        return float(self.costs.batch(kind, self.costs.prunable.vector(widths)[None])[0])

    def meets(self, widths: Widths, limits: Limits) -> bool:
        """Whether the network of ``widths`` is within all ``limits``."""
        return bool(self.costs.meet(self.costs.prunable.vector(widths)[None], limits)[0])

    def checked(self, widths: Mapping[str, int], who: str) -> dict[str, int]:
        """Return the widths of all groups, in order, as ``who`` has proposed them.

        Raises:
            UserError: a group is missing or unknown, or has a width that it cannot have.
        """
        full = self.grid.full
        for group in [*full, *widths]:
            if group not in widths or group not in full:
                state = "lacks" if group in full else "has the unknown"
                raise UserError(f"{who} proposed widths that {state} group {group}")
        found = {group: int(widths[group]) for group in full}
        for group, width in found.items():
            least = 0 if group in self.grid.ties else 1
            if not least <= width <= full[group]:
                raise UserError(
                    f"{who} proposed {width} channels for group {group}; it has {full[group]}"
                )
        for block, tie in self.grid.ties.items():
            if tie and not found[block] and found[tie[0]] != found[tie[1]]:
                raise UserError(
                    f"{who} proposed to drop block {block}, but other widths for {tie[0]} and "
                    f"{tie[1]}, which are one group without it; see Space.grid.tied"
                )
        return found
