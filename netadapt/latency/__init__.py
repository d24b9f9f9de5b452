from netadapt.latency.table import LatencyTable
from netadapt.latency.target import Target

__all__ = ["LatencyTable", "Target"]
