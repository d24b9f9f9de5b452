"""Int8 simulated in PyTorch answers as the exported file, and lets a network learn."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from tiny_network import tiny
from torch import Tensor, nn

import netadapt
from netadapt.deployment import deployed
from netadapt.deployment.simulated import Int8Simulation, SimulatedNetwork
from netadapt.errors import UserError
from netadapt.models.spec import ModelSpec
from netadapt.training.checkpoint import load_model

TOLERANCE = 0.002  # of the mean output


class Varied(nn.Module):
    """What is quantised in ways of its own: concats, gates, pools, a normalised input, no head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1, bias=False), nn.BatchNorm2d(16))
        self.left = nn.Conv2d(16, 16, 3, 1, 1)
        self.right = nn.Sequential(nn.Conv2d(16, 16, 1), nn.LeakyReLU(0.1))
        self.gate = nn.Conv2d(32, 32, 1)
        self.scale = nn.Parameter(torch.rand(1, 32, 1, 1))
        self.up = nn.ConvTranspose2d(32, 16, 2, 2)
        self.head = nn.Conv2d(16, 2, 3, 1, 1)
        for parameter in self.parameters():
            parameter.data *= 3  # so that answers differ

    def forward(self, x: Tensor) -> Tensor:
        x = F.hardswish(self.stem((x - 0.45) / 0.225))
        x = torch.cat([F.relu(self.left(x)), self.right(F.max_pool2d(x, 3, 1, 1))], dim=1)
        x = x * self.scale * torch.sigmoid(self.gate(F.adaptive_avg_pool2d(x, 1)))
        x = F.interpolate(F.relu(self.up(x)), scale_factor=2, mode="nearest")
        return torch.sigmoid(self.head(x))


@pytest.fixture(scope="module")
def frames() -> Tensor:
    return torch.rand((4, 3, 64, 64), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("kind", ["tiny", "varied"])
def test_a_simulated_network_answers_as_its_file(kind: str, frames: Tensor, tmp_path: Path) -> None:
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        model = tiny()[0] if kind == "tiny" else Varied().eval()
    path = tmp_path / "int8.onnx"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(deployed, "_saturates", lambda: True)  # exact on every CPU
        netadapt.export(model, frames[:1], path, precision="int8", calibration=frames)
        with torch.no_grad():
            wanted = load_model(path, deployed=True)(frames)
    simulated = SimulatedNetwork(model, Int8Simulation.observed(model, frames.split(2)))
    with torch.no_grad():
        plain, got = model(frames), simulated.eval()(frames)
    mean = float(wanted.abs().mean())
    error, of_int8 = (float((one - wanted).abs().mean()) / mean for one in (got, plain))
    assert error < TOLERANCE
    assert error < 0.1 * of_int8, (error, of_int8)


def test_gradients_pass_the_rounding_and_the_mode_is_restored(frames: Tensor) -> None:
    model = tiny()[0].train()
    model.stem[1].eval()
    modes = {name: module.training for name, module in model.named_modules()}
    simulation = Int8Simulation.observed(model, [frames])
    assert {name: module.training for name, module in model.named_modules()} == modes
    SimulatedNetwork(model, simulation)(frames).mean().backward()
    gradients = [parameter.grad for parameter in model.parameters()]
    assert all(one is not None and bool(one.abs().sum() > 0) for one in gradients)


def test_weights_have_a_scale_per_channel_and_the_head_is_not_rounded(frames: Tensor) -> None:
    model = tiny()[0]
    simulation = Int8Simulation.observed(model, [frames])
    assert len(simulation.weighted) == 4  # of five convolutions
    with torch.no_grad():
        before = simulation.run(model, frames)
        model.expand[0].weight[0] *= 1000  # one channel, whose batch norm takes it back
        model.expand[1].running_var[0] *= 1000**2
        model.expand[1].running_mean[0] *= 1000
        after = simulation.run(model, frames)
    torch.testing.assert_close(after, before, rtol=0.01, atol=0.01)


class Undecided(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x) if len(x) > 1 else F.relu(F.relu(x))


def test_a_network_whose_passes_differ_is_refused(frames: Tensor) -> None:
    with pytest.raises(UserError, match="cannot simulate int8: Undecided computes 3 tensors"):
        Int8Simulation.observed(Undecided(), [frames]).run(Undecided(), frames[:1])
    with pytest.raises(UserError, match="int8 needs typical inputs"):
        Int8Simulation.observed(Undecided(), [])


def test_a_simulated_network_is_otherwise_the_network() -> None:
    model = load_model("fastdepth", widths=None)
    simulated = SimulatedNetwork(model, Int8Simulation({}, frozenset(), frozenset(), 0))
    assert isinstance(simulated.spec, ModelSpec)
    assert next(simulated.parameters()) is next(model.parameters())
    with pytest.raises(AttributeError):
        simulated.nothing  # noqa: B018


@pytest.mark.parametrize(
    ("flags", "saturates"),
    [
        ("fpu sse2 avx2", True),
        ("fpu sse2 avx2 avx_vnni", False),
        ("fpu sse2 avx512f avx512_vnni", False),
        ("", False),
    ],
)
def test_x86_without_vnni_scores_files_as_other_cpus_compute_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flags: str, saturates: bool
) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"processor\t: 0\nflags\t\t: {flags}\nbugs\t\t: avx512_vnni\n")
    monkeypatch.setattr(deployed, "CPUINFO", cpuinfo)
    assert deployed._saturates() is saturates
    monkeypatch.setattr(deployed, "CPUINFO", tmp_path / "none")
    assert deployed._saturates() is False


def test_rounding_is_that_of_the_definition() -> None:
    from netadapt.deployment.simulated import rounded_activation, rounded_weight

    values = torch.tensor([-2.0, -1.0, 0.0, 0.4, 1.55, 3.0])
    scale = 2.55 / 255
    rounded = rounded_activation(values, -1.0, 1.55)
    np.testing.assert_allclose(rounded, np.clip(np.round(values / scale), -100, 155) * scale)
    assert rounded_activation(values, 0.0, 0.0) is values
    weight = torch.tensor([[[[1.0]], [[-0.5]]], [[[0.1]], [[0.02]]]])
    found = rounded_weight(weight, 0)
    scales = torch.tensor([1.0, 0.1]).view(2, 1, 1, 1) / 127
    torch.testing.assert_close(found, torch.round(weight / scales) * scales)
