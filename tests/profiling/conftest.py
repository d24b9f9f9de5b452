import pytest

from netadapt.profiling.onnx_model import OnnxTemplate
from netadapt.profiling.shared_weights import Graphs
from netadapt.profiling.traced import TracedNetwork
from netadapt.pruning import PrunableModel


@pytest.fixture(scope="session")
def graphs(small: PrunableModel) -> Graphs:
    """The tiny network's graphs for a board."""
    return Graphs(small, upsampling_last=True)


@pytest.fixture(scope="session")
def template(thin: PrunableModel) -> OnnxTemplate:
    """The ONNX graph of the thin FastDepth, to be filled."""
    return OnnxTemplate(TracedNetwork.of(thin))
