from netadapt.search.strategies.base import Strategy
from netadapt.search.strategies.netadapt import NetAdaptStrategy

__all__ = ["NetAdaptStrategy", "Strategy"]
