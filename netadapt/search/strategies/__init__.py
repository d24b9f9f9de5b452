from netadapt.search.strategies.registry import STRATEGIES, load_strategy

__all__ = ["STRATEGIES", "load_strategy"]
