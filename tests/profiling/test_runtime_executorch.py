import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from every_kind import every_kind
from quick_profile import assert_profiles
from torch import Tensor, nn

from netadapt.errors import UserError
from netadapt.latency.workloads import fuse
from netadapt.profiling.runtimes import load_runtime
from netadapt.profiling.runtimes.executorch_program import (
    FUSION,
    Program,
    folded_batch_norms,
    lower,
)
from netadapt.profiling.runtimes.executorch_session import (
    ExecuTorchSession,
    ProfiledExecuTorchSession,
)
from netadapt.profiling.traced import TracedNetwork
from netadapt.pruning import PrunableModel, trace


@pytest.fixture(scope="module")
def every() -> PrunableModel:
    return trace(*every_kind())


@pytest.fixture(scope="module")
def lowered(every: PrunableModel) -> Program:
    return lower(TracedNetwork.of(every))


def profiled(prunable: PrunableModel, program: Program) -> ProfiledExecuTorchSession:
    operations = prunable.operations.operations
    return ProfiledExecuTorchSession(program, prunable.example_input, 1, operations)


@pytest.mark.parametrize("threads", [2, 1])
def test_what_is_timed_is_the_network(every: PrunableModel, lowered: Program, threads: int) -> None:
    from executorch.extension.pybindings import portable_lib

    session = ExecuTorchSession(lowered, every.example_input, threads)
    assert portable_lib._threadpool_get_thread_count() == threads
    with torch.no_grad():
        wanted = every.model(every.example_input).numpy()
    assert np.abs(wanted).max() > 0.1
    np.testing.assert_allclose(session.output(), wanted, rtol=1e-4, atol=1e-4)
    session.close()


def test_loaded_networks_keep_their_thread_pool(every: PrunableModel, lowered: Program) -> None:
    session = ExecuTorchSession(lowered, every.example_input, 1)
    with pytest.raises(RuntimeError, match="close the sessions"):
        ExecuTorchSession(lowered, every.example_input, 2)
    session.close()
    ExecuTorchSession(lowered, every.example_input, 2).close()


@pytest.mark.slow
@pytest.mark.parametrize("network", ["thin", "every"])
def test_every_workload_has_its_operator(network: str, request: pytest.FixtureRequest) -> None:
    every: PrunableModel = request.getfixturevalue(network)
    operations = every.operations.operations
    session = profiled(every, lower(TracedNetwork.of(every)))
    for _ in range(3):
        session.run()
    times = session.operation_us()
    assert times.shape == (3, len(operations))
    timed = {unit.main for unit in fuse(operations, FUSION)}
    assert set(np.flatnonzero(times.all(axis=0))) == timed
    assert not times[:, [place for place in range(len(operations)) if place not in timed]].any()


def test_folding_batch_norms_leaves_the_other_operations(every: PrunableModel) -> None:
    operations = every.operations.operations
    folded = folded_batch_norms(every.model, operations)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    assert any(isinstance(module, nn.BatchNorm2d) for module in every.model.modules())
    as_it_is = [one for one in operations if one.kind != "batch_norm"]
    again = trace(folded, every.example_input).operations.operations
    assert [one.kind for one in again] == [one.kind for one in as_it_is]


class Branches(nn.Module):
    """The average pooling is not for XNNPACK, so that it runs before the maximum."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)
        self.second = nn.Conv2d(8, 8, 1)

    def forward(self, image: Tensor) -> Tensor:
        x = self.first(image)
        largest = F.max_pool2d(x, 3, 1, 1)
        return self.second(largest * F.avg_pool2d(x, 3, 1, 1))


def test_operators_that_change_places_keep_their_operations() -> None:
    prunable = trace(Branches().eval(), torch.rand(1, 3, 16, 16))
    operations = prunable.operations.operations
    assert [one.kind for one in operations] == ["conv2d", "pool", "pool", "mul", "conv2d"]
    program = lower(TracedNetwork.of(prunable))
    assert program.order == (0, 2, 1, 3, 4)
    session = profiled(prunable, program)
    session.run()
    assert (session.operation_us() > 0).all()


class Decomposed(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.hardsigmoid(x)


def test_an_operation_that_is_taken_apart_is_refused() -> None:
    model, image = Decomposed(), torch.rand(1, 3, 8, 8)
    prunable = trace(nn.Sequential(nn.Conv2d(3, 8, 1), model, nn.Conv2d(8, 2, 1)).eval(), image)
    program = lower(TracedNetwork.of(prunable))
    session = profiled(prunable, program)
    session.run()
    with pytest.raises(UserError, match=r"cannot time .* in executorch: .*--runtime torch"):
        session.operation_us()


class Undecided(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


def test_a_network_that_cannot_be_exported_is_refused() -> None:
    with pytest.raises(UserError, match="cannot export Undecided to ExecuTorch") as caught:
        lower(TracedNetwork(Undecided(), torch.rand(1, 3, 8, 8), ()))
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_a_table_is_profiled_and_predicts(tmp_path: Path) -> None:
    branches = trace(Branches().eval(), torch.rand(1, 3, 16, 16))
    assert_profiles(branches, "executorch", tmp_path)


@pytest.mark.slow
def test_int8_is_timed_operation_by_operation(small: PrunableModel) -> None:
    program = lower(TracedNetwork.of(small), "int8")
    weights = sum(parameter.numel() for parameter in small.model.parameters())
    assert len(program.data) < 3 * weights
    whole = ExecuTorchSession(program, small.example_input, 1)
    with torch.no_grad():
        wanted = small.model(small.example_input).numpy()
    assert 0 < np.abs(whole.output() - wanted).mean() / np.abs(wanted).mean() < 0.1
    session = profiled(small, program)
    for _ in range(3):
        session.run()
    microseconds = np.median(session.operation_us(), axis=0)
    units = fuse(small.operations.operations, FUSION)
    assert all(microseconds[list(unit.members)].sum() > 0 for unit in units)


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "executorch", None)
    for name in [*sys.modules]:
        if name.startswith("executorch."):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "netadapt.profiling.runtimes.executorch", raising=False)
    with pytest.raises(UserError, match=r"executorch needs .*pip install 'netadapt\[executorch\]'"):
        load_runtime("executorch")
