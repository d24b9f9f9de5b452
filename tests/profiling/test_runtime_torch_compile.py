from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
import torch._inductor.config as inductor
from quick_profile import assert_profiles

from netadapt.errors import UserError
from netadapt.latency.fusion import FUSIONS
from netadapt.latency.target import Target
from netadapt.latency.workloads import fuse
from netadapt.profiling.devices import load_device
from netadapt.profiling.runtimes.base import Loader
from netadapt.profiling.runtimes.inductor import BODY, Kernel, kernels_of, units_of
from netadapt.profiling.runtimes.torch_compile import (
    CompiledSession,
    ProfiledCompiledSession,
    TorchCompileRuntime,
)
from netadapt.profiling.traced import TracedNetwork
from netadapt.pruning import PrunableModel


@pytest.fixture(scope="module")
def profiled(small: PrunableModel) -> Iterator[ProfiledCompiledSession]:
    """The tiny network, compiled once for the tests that look into it."""
    session = loader(small).profiled_session(small.model)
    assert isinstance(session, ProfiledCompiledSession)
    yield session
    session.close()


def loader(prunable: PrunableModel) -> Loader:
    runtime = TorchCompileRuntime()
    target = load_device("cpu").target(runtime)
    return runtime.loader(TracedNetwork.of(prunable), target)


def test_it_answers_as_the_network(small: PrunableModel, profiled: ProfiledCompiledSession) -> None:
    narrow = small.pruned(dict.fromkeys(small.groups, 5))
    session = loader(small).session(narrow)
    assert isinstance(session, CompiledSession)
    for compiled, model in ((profiled, small.model), (session, narrow)):
        with torch.no_grad():
            wanted = model(small.example_input).numpy()
        np.testing.assert_allclose(compiled.output(), wanted, rtol=1e-4, atol=1e-5)
    session.close()


def test_every_workload_is_one_kernel(
    small: PrunableModel, profiled: ProfiledCompiledSession
) -> None:
    operations = small.operations.operations
    units = fuse(operations, FUSIONS["torch-compile"])
    kernels = profiled.kernels()
    # the image changes its layout first
    assert units_of(kernels, units, operations) == (0, *range(len(units)))


def test_nothing_of_a_workload_is_zero(small: PrunableModel) -> None:
    operations = small.operations.operations
    units = fuse(operations, FUSIONS["torch-compile"])
    own = loader(small).profiled_session(small.model)
    threads = torch.get_num_threads()
    for _ in range(2):
        own.run()
    assert torch.get_num_threads() == threads
    times = own.operation_us()
    assert times.shape == (2, len(operations))
    assert all(times[:, list(unit.members)].sum(axis=1).min() > 0 for unit in units)


def test_the_kernels_add_up_to_the_run(profiled: ProfiledCompiledSession) -> None:
    shares = []
    for _ in range(5):
        with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profiler:
            profiled.output()
        events = profiler.profiler.kineto_results.events()
        body = next(event for event in events if event.name().startswith(BODY))
        kernels_us = sum(kernel.us for kernel in kernels_of(events))
        shares.append(kernels_us * 1000 / body.duration_ns())
    assert 0.5 < max(shares) <= 1  # the rest is Python between the kernels


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"drop": 2}, "is not the conv2d depthwise.0 expected there"),
        ({"drop": 6}, "no kernel carries out the conv2d head"),
        ({"swap": 2}, "is not the conv2d"),
        ({"repeat": 6}, "is not the end"),
    ],
)
def test_kernels_that_are_not_the_workloads_are_refused(
    small: PrunableModel, change: Mapping[str, int], message: str
) -> None:
    operations = small.operations.operations
    units = fuse(operations, FUSIONS["torch-compile"])
    kernels = [Kernel("graph_0_cpp_fused_relu_0", 1.0)]
    for unit in units:
        main = operations[unit.main]
        if main.kind == "upsample":
            kernels.append(Kernel("graph_0_cpp_fused__unsafe_index_1", 1.0))
            continue
        weight = (main.output[1], main.inputs[0][1] // main.groups, *main.detail["kernel"])
        kernels.append(Kernel("mkldnn::_convolution_pointwise", 1.0, (main.inputs[0], weight)))
    assert units_of(kernels, units, operations) == (0, *range(len(units)))
    ((what, place),) = change.items()
    if what == "drop":
        del kernels[place]
    elif what == "swap":
        kernels[place : place + 2] = reversed(kernels[place : place + 2])
    else:
        kernels.append(kernels[place])
    with pytest.raises(UserError, match=f"{message}.*--runtime torch"):
        units_of(kernels, units, operations)


@pytest.mark.slow
def test_a_table_is_profiled_and_predicts(small: PrunableModel, tmp_path: Path) -> None:
    assert_profiles(small, "torch-compile", tmp_path)


def test_without_a_compiler_the_package_is_named(small: PrunableModel) -> None:
    with (
        inductor.patch({"cpp.cxx": (None, "no-such-compiler")}),
        pytest.raises(UserError, match=r"needs a C\+\+ compiler .*apt install g\+\+"),
    ):
        loader(small)


def test_what_cannot_be_compiled_is_refused(small: PrunableModel) -> None:
    class Looking(torch.nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return image * 2 if float(image.sum()) > 0 else image

    with pytest.raises(UserError, match=r"cannot compile Looking: .*; use --runtime torch"):
        loader(small).session(Looking())


def test_on_a_gpu_operations_are_not_timed(
    small: PrunableModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def on_cuda() -> Loader:
        return TorchCompileRuntime().loader(TracedNetwork.of(small), Target(device="cuda"))

    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(UserError, match=r"cannot use cuda: .* sees 0 GPUs"):
        on_cuda()
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(UserError, match=r"cannot be timed one by one.*--runtime torch"):
        on_cuda().profiled_session(small.model)
