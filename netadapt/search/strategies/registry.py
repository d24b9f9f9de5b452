"""Strategies by name, imported when they are used."""

import importlib

from netadapt.errors import UserError
from netadapt.search.names import STRATEGIES, StrategyName
from netadapt.search.strategies.base import Strategy

EXTRAS = {"evolution"}  # pip install netadapt[...]; the others come with it


def load_strategy(name: StrategyName) -> type[Strategy]:
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
