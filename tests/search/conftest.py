import pytest
from search_case import make_case

from netadapt.api import search

BUDGET_MS = 24.5


@pytest.fixture(scope="session")
def elsewhere(tmp_path_factory):
    """Arguments of a search for a board that is not attached."""
    folder = tmp_path_factory.mktemp("elsewhere")
    return make_case(folder, attached=False) | {"budget_ms": BUDGET_MS, "strategy": "netadapt"}


@pytest.fixture(scope="session")
def slim(tmp_path_factory):
    """Arguments of a search for a network of three layers, quick and without a goal."""
    return make_case(tmp_path_factory.mktemp("slim"), attached=False, network="slim:Slim")


@pytest.fixture(scope="session")
def finished(elsewhere, tmp_path_factory):
    """A search that nobody disturbed."""
    return search(**elsewhere, out=tmp_path_factory.mktemp("runs") / "run")
