"""The strategies and executors that there are, by name; nothing is imported to know them."""

import re
from typing import Literal

StrategyName = Literal[
    "netadapt",
    "netadapt-fast",
    "uniform",
    "random",
    "magnitude",
    "taylor",
    "knapsack",
    "evolution",
]
ExecutorName = Literal["inline", "ray"]

STRATEGIES: dict[StrategyName, str] = {
    "netadapt": "netadapt.search.strategies.netadapt:NetAdaptStrategy",
    "netadapt-fast": "netadapt.search.strategies.fast:FastStrategy",
    "uniform": "netadapt.search.strategies.uniform:UniformStrategy",
    "random": "netadapt.search.strategies.random:RandomStrategy",
    "magnitude": "netadapt.search.strategies.ranking:MagnitudeStrategy",
    "taylor": "netadapt.search.strategies.ranking:TaylorStrategy",
    "knapsack": "netadapt.search.strategies.knapsack:KnapsackStrategy",
    "evolution": "netadapt.search.strategies.evolution:EvolutionStrategy",
}
OWN_STRATEGY = re.compile(r"[\w.]+:\w+")
EXECUTORS: tuple[ExecutorName, ...] = ("inline", "ray")


def strategy_name(name: str) -> str:
    """Return ``name`` if it is a strategy's, or may be one of your own. Raises ``ValueError``."""
    if name not in STRATEGIES and not OWN_STRATEGY.fullmatch(name):
        known = ", ".join(STRATEGIES)
        raise ValueError(f"unknown strategy; known: {known}, package.module:Class")
    return name
