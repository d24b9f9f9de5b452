"""How the machine's speed changes while it is profiled."""

from dataclasses import dataclass, field
from typing import Self

from netadapt.latency.table import LatencyTable
from netadapt.profiling.plan import Plan


@dataclass
class Drift:
    """How much longer the base network takes than at the profile's start.

    The base network is timed in every chunk of a profile, and what is measured in the chunk is
    divided by its slowdown: the whole table is of the machine as it was at the start.

    Attributes:
        start_us: what the base took at the start; ``None`` before anything was measured.
        slowdowns: of each chunk, the base's time divided by ``start_us``.
    """

    start_us: float | None = None
    slowdowns: tuple[float, ...] = ()
    _last_us: float | None = field(default=None, repr=False)

    @classmethod
    def since(cls, table: LatencyTable, plan: Plan) -> Self:
        """Go on from what ``table`` holds of the base network, if an earlier profile measured it.

        The sum of its workloads is what the base took then.
        """
        workloads = plan.workloads(plan.base)
        before = [one for one in table.target.calibrations if one.names() == plan.subject]
        slowdowns = before[-1].slowdowns if before else ()
        if table.missing(set(workloads)):
            return cls(slowdowns=slowdowns)
        latencies = table.p50_us()
        return cls(sum(latencies[one] for one in workloads), slowdowns)

    def slowdown(self, reference_us: float) -> float:
        """Return by how much to divide what was measured beside a base that took that long.

        The networks of one chunk share one ``reference_us``: it is one entry of ``slowdowns``.
        """
        if self.start_us is None:
            self.start_us = reference_us
        found = reference_us / self.start_us
        if reference_us != self._last_us:
            self._last_us = reference_us
            self.slowdowns = (*self.slowdowns, round(found, 4))
        return found
