import sys
from pathlib import Path
from typing import Any

import numpy as np
import openvino
import pytest
import torch
import torch.nn.functional as F
from every_kind import every_kind
from quick_profile import assert_profiles, target
from torch import Tensor, nn

from netadapt.errors import UserError
from netadapt.latency.fusion import FUSIONS
from netadapt.latency.workloads import fuse
from netadapt.profiling.agent.openvino import OpenVinoSession, ProfiledOpenVinoSession
from netadapt.profiling.onnx_model import OnnxTemplate
from netadapt.profiling.runtimes import load_runtime
from netadapt.profiling.traced import TracedNetwork
from netadapt.pruning import PrunableModel, trace


@pytest.fixture(scope="module")
def every() -> PrunableModel:
    return trace(*every_kind())


@pytest.fixture(scope="module")
def graph(every: PrunableModel) -> bytes:
    return _graph(every)


def _graph(prunable: PrunableModel) -> bytes:
    template = OnnxTemplate(TracedNetwork.of(prunable))
    data: bytes = template.filled(prunable.model).SerializeToString()
    return data


def profiled(prunable: PrunableModel, graph: bytes) -> ProfiledOpenVinoSession:
    count = len(prunable.operations.operations)
    image = prunable.example_input.numpy()
    return ProfiledOpenVinoSession(graph, image, threads=1, operations=count)


@pytest.mark.parametrize("threads", [1, 2])
def test_what_is_timed_is_the_network(
    every: PrunableModel, graph: bytes, threads: int, tmp_path: Path
) -> None:
    path = tmp_path / "every.onnx"
    path.write_bytes(graph)
    session = OpenVinoSession(str(path), every.example_input.numpy(), threads)
    with torch.no_grad():
        wanted = every.model(every.example_input).numpy()
    assert np.abs(wanted).max() > 0.1
    np.testing.assert_allclose(session.output(), wanted, rtol=1e-4, atol=1e-4)


def test_it_computes_in_float32_with_the_threads_asked_for(
    every: PrunableModel, graph: bytes
) -> None:
    session = OpenVinoSession(graph, every.example_input.numpy(), 2)
    assert session._compiled.get_property("INFERENCE_PRECISION_HINT") == openvino.Type.f32
    assert session._compiled.get_property("INFERENCE_NUM_THREADS") == 2
    assert session._compiled.get_property("NUM_STREAMS") == 1


@pytest.mark.parametrize("network", ["thin", "every"])
def test_workloads_are_what_openvino_executes(network: str, request: pytest.FixtureRequest) -> None:
    prunable: PrunableModel = request.getfixturevalue(network)
    session = profiled(prunable, _graph(prunable))
    units = fuse(prunable.operations.operations, FUSIONS["openvino"])
    for _ in range(3):
        session.run()
    executed = [names for names in session._original_names.values() if "netadapt_op" in names]
    assert len(executed) == len(units)
    times = session.operation_us()
    assert times.shape == (3, len(prunable.operations.operations))
    for unit in units:
        assert np.count_nonzero(times[-1, list(unit.members)]) == 1


class Folded(nn.Module):
    """OpenVINO pads within the convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 1)
        self.second = nn.Conv2d(8, 8, 3)

    def forward(self, x: Tensor) -> Tensor:
        return self.second(F.pad(self.first(x), (1, 1, 1, 1)))


def test_an_operation_that_takes_no_time_of_its_own_is_refused() -> None:
    prunable = trace(Folded().eval(), torch.rand(1, 3, 16, 16))
    loader = load_runtime("openvino").loader(TracedNetwork.of(prunable), target("openvino"))
    loader.session(prunable.model).run()
    with pytest.raises(UserError, match=r"cannot time pad .*in openvino: it merges"):
        loader.profiled_session(prunable.model)


def test_a_disturbed_run_does_not_count(every: PrunableModel, graph: bytes) -> None:
    session: Any = profiled(every, graph)
    averages = np.array([[900, 90], [500, 50], [366, 36], [300, 30]], dtype=float)
    session._averages_us = [[*row] for row in averages]
    session._seconds = [0.01, 0.001, 0.001, 0.001]
    session._by_operation = lambda nodes: nodes
    times = session.operation_us()
    np.testing.assert_allclose(times[1:], [[100, 10]] * 3, atol=1.5)
    np.testing.assert_allclose(times[0], times[1] * 10)


def test_a_table_is_profiled_and_predicts(every: PrunableModel, tmp_path: Path) -> None:
    assert_profiles(every, "openvino", tmp_path)


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "openvino", None)
    for module in ("runtimes", "agent"):
        monkeypatch.delitem(sys.modules, f"netadapt.profiling.{module}.openvino")
    monkeypatch.delattr("netadapt.profiling.agent.openvino")
    with pytest.raises(UserError, match=r"openvino needs .*pip install 'netadapt\[openvino\]'"):
        load_runtime("openvino")
