import signal
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

import hypothesis
import pytest
import torch
from lacking import lacking
from stock import stock
from tiny_network import tiny

from netadapt.depth.models import FastDepth
from netadapt.depth.models.fastdepth import GROUPS
from netadapt.pruning import PrunableModel, trace
from netadapt.pruning.check import Suspects, failures

# a machine that is busy is no fault of what is tested
# other examples are drawn in every run, so that few in each are enough
hypothesis.settings.register_profile("patient", deadline=None, max_examples=50)
hypothesis.settings.load_profile("patient")

__all__ = ["stock"]  # a fixture for every room

# the longest files, begun first, so that no worker has one left when the others are done
LONGEST = (
    "faults/test_ray.py",
    "terminal/test_commands_screen.py",
    "terminal/test_several_processes_screen.py",
    "profiling/test_fleet.py",
    "test_documents_run.py",
    "profiling/test_ssh.py",
    "profiling/test_precision.py",
    "profiling/test_runtime_torch_compile.py",
    "profiling/test_runtime_executorch.py",
    "pruning/test_any_model.py",
    "search/test_run.py",
    "search/test_anchoring.py",
    "search/test_deployed.py",
    "cli/test_export.py",
    "profiling/test_profiler.py",
    "test_hidden_runtimes.py",
)
SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put the longest files first; the order within a file stays."""
    places = {Path(__file__).parent / name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))


@pytest.fixture(scope="session")
def nyu() -> Path:
    """The real NYU Depth V2 frames beside the checkout."""
    folder = SHARED_DATA / "nyu"
    if not folder.is_dir():
        lacking(f"the NYU frames are not at {folder}")
    return folder


@pytest.fixture(autouse=True, scope="session")
def scene_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Synthetic scenes are kept for the length of the test run, away from the user's."""
    folder = tmp_path_factory.getbasetemp() / "netadapt-cache"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NETADAPT_CACHE", str(folder))
        yield folder


@pytest.fixture(autouse=True, scope="session")
def interruptible() -> None:
    """Ctrl-C interrupts, in the tests and their commands, also where it was ignored outside."""
    with suppress(ValueError):  # not in the main thread
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    """Networks this small gain nothing from a second thread, and bits depend on their number."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True, scope="session")
def checked_once() -> Iterator[None]:
    """Check the surgery on equal networks once; tests/pruning does it always."""
    known: dict[object, dict[str, str]] = {}

    def remembered(suspects: Suspects) -> dict[str, str]:
        model, operations = suspects.model, suspects.operations.operations
        kinds = {parameter.dtype for parameter in model.parameters()}
        parts = (model, operations, suspects.groups, suspects.watched, suspects.trains_otherwise)
        key = (*map(repr, (*parts, kinds)), *map(type, model.modules()))
        if key not in known:
            known[key] = failures(suspects)
        return dict(known[key])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("netadapt.pruning.tracing.failures", remembered)
        yield


@pytest.fixture(autouse=True, scope="session")
def one_registry() -> Iterator[None]:
    """Let PyTorch's exporter gather its ONNX functions once: anew for each network takes long."""
    with pytest.MonkeyPatch.context() as patch:
        with suppress(ImportError, AttributeError):  # a private part, which may move
            from torch.onnx._internal.exporter._registration import ONNXRegistry

            gathered = staticmethod(cache(ONNXRegistry.from_torchlib))
            patch.setattr(ONNXRegistry, "from_torchlib", gathered)
        yield


@pytest.fixture(scope="session")
def thin() -> PrunableModel:
    """FastDepth with 16 or 8 channels a group, traced at 64x64. It is shared: change nothing."""
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        model = FastDepth({name: 16 if place % 3 else 8 for place, name in enumerate(GROUPS)})
        for module in model.modules():
            if isinstance(module, torch.nn.BatchNorm2d):
                torch.nn.init.uniform_(module.weight, 0.5, 1.5)
                torch.nn.init.uniform_(module.bias, -0.5, 0.5)
                assert module.running_mean is not None
                torch.nn.init.uniform_(module.running_mean, -0.5, 0.5)
                assert module.running_var is not None
                torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
        model.set_depth_statistics(3.0, 1.0)  # the last ReLU must let something through
        return trace(model.eval(), torch.rand(1, 3, 64, 64))


@pytest.fixture(scope="session")
def small() -> PrunableModel:
    """The tiny network, traced. It is shared: change nothing."""
    model, image = tiny()
    return trace(model, image)
