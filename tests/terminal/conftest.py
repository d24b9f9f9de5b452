from collections.abc import Callable
from pathlib import Path

import pytest
from terminal import Terminal

Open = Callable[..., Terminal]


@pytest.fixture
def terminal(stock: Path, tmp_path: Path) -> Open:
    """Open a terminal with a command: ``terminal("info", "@run", width=20)``; @ is the stock."""

    def opened(*words: str, **options: object) -> Terminal:
        at_stock = [part.replace("@", f"{stock}/") for word in words for part in word.split()]
        environment = {"NETADAPT_TRUST": "cli_networks", **options.pop("environment", {})}
        return Terminal(at_stock, tmp_path, environment=environment, **options)

    return opened
