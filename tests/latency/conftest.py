import pytest
from tiny_network import tiny

from netadapt.pruning import PrunableModel, trace


@pytest.fixture(scope="session")
def small() -> PrunableModel:
    """The tiny network, traced. It is shared: change nothing."""
    model, image = tiny()
    return trace(model, image)
