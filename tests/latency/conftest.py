import pytest
from tiny_network import tiny

from netadapt.profiling.onnx_model import OnnxTemplate
from netadapt.profiling.shared_weights import Graphs
from netadapt.pruning import PrunableModel, trace


@pytest.fixture(scope="session")
def small() -> PrunableModel:
    """The tiny network, traced. It is shared: change nothing."""
    model, image = tiny()
    return trace(model, image)


@pytest.fixture(scope="session")
def graphs(small: PrunableModel) -> Graphs:
    """The tiny network's graphs for a board."""
    return Graphs(small)


@pytest.fixture(scope="session")
def template(thin: PrunableModel) -> OnnxTemplate:
    """The ONNX graph of the thin FastDepth, to be filled."""
    return OnnxTemplate(thin.model, thin.example_input, thin.operations.operations)
