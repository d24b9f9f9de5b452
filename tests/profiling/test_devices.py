import pytest
import torch

from netadapt.errors import UserError
from netadapt.latency.target import Options, cores_of
from netadapt.profiling.agent import host
from netadapt.profiling.devices import load_device
from netadapt.profiling.measurement import measure
from netadapt.profiling.runtimes import load_runtime


@pytest.mark.parametrize(
    ("cpus", "cores"), [("", None), ("0", {0}), ("0,2-4", {0, 2, 3, 4}), ("7,7", {7})]
)
def test_cores_are_read_as_the_system_writes_them(cpus: str, cores: set[int] | None) -> None:
    assert cores_of(cpus) == cores
    assert Options(cpus=cpus).cores() == cores


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"cpus": "0;rm"}, "--cpus 0;rm: it does not match"),
        ({"cpus": "-1"}, "--cpus -1"),
        ({"precision": "fp4"}, "--precision fp4: give one of fp32"),
        ({"provider": "abacus"}, "--provider abacus"),
        ({"threads": 0}, "--threads 0"),
    ],
)
def test_options_that_are_none_are_refused(given: dict[str, object], words: str) -> None:
    with pytest.raises(UserError) as caught:
        Options.parse(**given)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (Options(threads=4096), "cannot use 4096 threads"),
        (Options(cpus="4000"), "cannot use core 4000"),
        (Options(precision="fp16"), "--precision fp16 is not for"),
    ],
)
def test_what_the_machine_lacks_is_refused(options: Options, words: str) -> None:
    with pytest.raises(UserError, match=words):
        load_device("cpu").target(load_runtime("onnxruntime"), options)


def test_more_threads_than_chosen_cores_are_refused() -> None:
    with pytest.raises(UserError, match="cannot keep 2 threads on 1 cores"):
        Options(threads=2, cpus="0").check({0, 1})


def test_chosen_cores_are_part_of_the_target_and_of_its_name() -> None:
    first = min(host.cores())
    device, runtime = load_device("cpu"), load_runtime("onnxruntime")
    target = device.target(runtime, Options(cpus=str(first)))
    assert f"-cpus{first}-" in target.slug
    assert "cpus" in str(target.difference(device.target(runtime)))
    model = torch.nn.Conv2d(3, 4, 3).eval()
    before = host.cores()
    assert measure(model, torch.rand(1, 3, 8, 8), target, runs=5).p50_ms > 0
    assert host.cores() == before


def test_a_provider_that_the_wheel_lacks_is_refused() -> None:
    target = load_device("cpu").target(load_runtime("onnxruntime"), Options(provider="tensorrt"))
    assert "-tensorrt-" in target.slug
    with pytest.raises(UserError, match="--provider tensorrt: this onnxruntime has no Tensorrt"):
        measure(torch.nn.Conv2d(3, 4, 3).eval(), torch.rand(1, 3, 8, 8), target)


@pytest.mark.parametrize("name", ["cuda", "cuda:1"])
def test_a_gpu_that_is_not_there_is_refused(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    with pytest.raises(UserError, match=r"cannot use cuda:\d: PyTorch \S+ sees no GPU"):
        load_device(name)


@pytest.mark.parametrize("name", ["cuda:", "cuda:x", "cuda0", "sundial"])
def test_an_unknown_device_is_refused(name: str) -> None:
    with pytest.raises(UserError, match="unknown device"):
        load_device(name)
