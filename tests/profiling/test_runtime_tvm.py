import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from quick_profile import assert_profiles
from tiny_network import tiny
from torch import Tensor, nn

from netadapt.errors import UserError
from netadapt.latency.fusion import FUSIONS
from netadapt.latency.workloads import fuse
from netadapt.profiling.devices import load_device
from netadapt.profiling.runtimes import load_runtime
from netadapt.profiling.runtimes.tvm import TvmRuntime, require_agreement
from netadapt.profiling.traced import TracedNetwork
from netadapt.pruning import PrunableModel, trace


class Joined(nn.Module):
    """A depthwise layer, a skip that is added behind an upsampling, and a concatenation."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 8, 3, 1, 1), nn.BatchNorm2d(8), nn.ReLU6())
        self.down = nn.Sequential(nn.Conv2d(8, 8, 3, 2, 1, groups=8), nn.LeakyReLU(0.1))
        self.up = nn.Conv2d(8, 8, 1)
        self.head = nn.Conv2d(16, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        y = F.interpolate(self.up(self.down(x)), scale_factor=2, mode="nearest") + x
        return torch.sigmoid(self.head(torch.cat([y, x], 1)))


def joined() -> PrunableModel:
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        return trace(Joined().eval(), torch.rand(1, 3, 16, 16))


def test_it_answers_as_the_network() -> None:
    for prunable in (trace(*tiny()), joined()):
        runtime = TvmRuntime()
        target = load_device("cpu").target(runtime)
        loader = runtime.loader(TracedNetwork.of(prunable), target)
        narrow = prunable.pruned(dict.fromkeys(prunable.groups, 5))
        for model in (prunable.model, narrow):
            with torch.no_grad():
                wanted = model(prunable.example_input).numpy()
            session: Any = loader.session(model)
            np.testing.assert_allclose(session.output(), wanted, rtol=1e-4, atol=1e-5)
            session.close()


@pytest.mark.slow
def test_every_workload_of_fastdepth_is_one_kernel(thin: PrunableModel) -> None:
    runtime = TvmRuntime()
    operations = thin.operations.operations
    target = load_device("cpu").target(runtime)
    loader = runtime.loader(TracedNetwork.of(thin), target)
    session: Any = loader.profiled_session(thin.model)
    units = fuse(operations, FUSIONS[runtime.name])
    kernels = session.kernels()
    assert len(kernels) == len(units) == 43
    require_agreement(kernels, units)
    for _ in range(2):
        session.run()
    times = session.operation_us()
    assert times.shape == (2, len(operations))
    assert all(times[:, list(unit.members)].sum(axis=1).min() > 0 for unit in units)


@pytest.mark.slow
def test_a_table_is_profiled_and_predicts(small: PrunableModel, tmp_path: Path) -> None:
    assert_profiles(small, "tvm", tmp_path)


def test_a_fusion_that_the_workloads_do_not_have_is_refused(small: PrunableModel) -> None:
    units = fuse(small.operations.operations, FUSIONS["tvm"])
    kernels = [unit.members for unit in units]
    require_agreement(kernels, units)
    with pytest.raises(UserError, match="it merges the operations"):
        require_agreement([kernels[0] + kernels[1], *kernels[2:]], units)
    with pytest.raises(UserError, match="no kernel carries out"):
        require_agreement(kernels[:-1], units)


def test_where_it_is_not_installed_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name.startswith("netadapt.profiling")]:
        if "tvm" in name.rpartition(".")[2]:
            parent, _, attribute = name.rpartition(".")
            monkeypatch.delattr(sys.modules[parent], attribute)
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tvm", None)
    with pytest.raises(UserError, match=r"runtime tvm needs .*'netadapt\[tvm\]'"):
        load_runtime("tvm")
