"""Strategies by name, imported when they are used."""

import importlib
import inspect
from typing import cast

from netadapt.errors import UserError
from netadapt.factories import factory_named
from netadapt.search.names import STRATEGIES, StrategyName
from netadapt.search.strategies.base import Strategy

EXTRAS = {"evolution"}  # pip install netadapt[...]; the others come with it


def load_strategy(name: str) -> type[Strategy]:
    """Return the strategy called ``name``, or your own in ``package.module:Class``.

    Raises:
        UserError: it is not installed, cannot be imported, or is no strategy.
    """
    if ":" in name:
        return _own(name)
    module, _, attribute = STRATEGIES[cast(StrategyName, name)].partition(":")
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


def _own(name: str) -> type[Strategy]:
    found = factory_named(name, "strategy")
    if not (inspect.isclass(found) and issubclass(found, Strategy)):
        raise UserError(
            f"strategy {name} is no subclass of netadapt.search.strategies.base.Strategy"
        )
    if inspect.isabstract(found):
        raise UserError(f"strategy {name} lacks the method propose")
    return found
