import pytest
import torch

from netadapt.errors import UserError
from netadapt.latency.target import Options, Target
from netadapt.profiling.runtimes.cuda import cuda_device
from netadapt.profiling.runtimes.torch import TorchRuntime
from netadapt.profiling.traced import TracedNetwork
from netadapt.pruning import PrunableModel


@pytest.fixture
def without_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)


def test_a_cpu_is_no_gpu() -> None:
    assert cuda_device(Target(device="cpu")) is None


def test_gpus_are_numbered_as_in_the_target(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert cuda_device(Target(device="cuda")) == torch.device("cuda", 0)
    assert cuda_device(Target(device="cuda:1")) == torch.device("cuda", 1)
    with pytest.raises(UserError, match=r"cannot use cuda:2: .* sees 2 GPUs"):
        cuda_device(Target(device="cuda:2"))


@pytest.mark.usefixtures("without_gpus")
def test_a_gpu_that_is_not_there_is_refused(small: PrunableModel) -> None:
    runtime = TorchRuntime()
    assert runtime.on_cuda(Options(precision="fp16"))
    with pytest.raises(UserError, match=r"cannot use cuda: .* sees 0 GPUs"):
        runtime.loader(TracedNetwork.of(small), Target(device="cuda"))
