"""The strategies by name, imported when they are used."""

import importlib
from typing import TYPE_CHECKING, Literal

from netadapt.errors import UserError

if TYPE_CHECKING:
    from netadapt.search.strategies.base import Strategy

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
EXTRAS = {"evolution"}  # pip install netadapt[...]; the others come with it


def load_strategy(name: StrategyName) -> "type[Strategy]":
    """Return the strategy called ``name``.

    Raises:
        UserError: it is not installed.
    """
    module, _, attribute = STRATEGIES[name].partition(":")
    try:
        strategy: type[Strategy] = getattr(importlib.import_module(module), attribute)
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if name not in EXTRAS or package == "netadapt":
            raise
        raise UserError(
            f"strategy {name} needs the package {package}; run: pip install 'netadapt[{name}]'"
        ) from error
    return strategy
