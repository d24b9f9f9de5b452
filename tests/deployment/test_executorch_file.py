"""Files for ExecuTorch answer as the network."""

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

import netadapt
from netadapt.deployment.api import FilePrecision
from netadapt.deployment.executorch import LoweredNetwork
from netadapt.errors import UserError

SIZE = (3, 16, 16)


def network() -> nn.Sequential:
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        return nn.Sequential(
            *(nn.Conv2d(3, 64, 3, 2, 1), nn.BatchNorm2d(64), nn.ReLU(), nn.Conv2d(64, 64, 1)),
            *(nn.ReLU(), nn.Conv2d(64, 1, 1)),
        ).eval()


@pytest.fixture(scope="module")
def frames() -> Tensor:
    return torch.rand((5, *SIZE), generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("precision", [pytest.param("fp32", marks=pytest.mark.slow), "int8"])
def test_the_written_file_is_run_and_compared(
    tmp_path: Path, frames: Tensor, precision: FilePrecision
) -> None:
    model = network()
    path = tmp_path / "new" / "net.pte"
    made = netadapt.export(model, frames[:2], path, precision=precision, calibration=frames)
    assert made.size_bytes == path.stat().st_size
    assert (made.size_bytes < made.fp32_bytes) == (precision == "int8")
    with torch.no_grad():
        wanted, got = model(frames), LoweredNetwork(path, 2)(frames)
    difference = float((got - wanted).abs().mean() / wanted.abs().mean())
    assert difference < (1e-5 if precision == "fp32" else 0.05)
    assert (made.precision_error > 0) == (precision == "int8")
    assert made.rewrite_error < 1e-5


def test_what_cannot_be_is_refused_in_one_line(tmp_path: Path, frames: Tensor) -> None:
    path = tmp_path / "net.pte"
    with pytest.raises(UserError, match="--precision fp16 is not for"):
        netadapt.export(network(), frames[:1], path, precision="fp16")
    with pytest.raises(UserError, match="give --calibration-data"):
        netadapt.export(network(), frames[:1], path, precision="int8")
    path.write_bytes(b"no program")
    with pytest.raises(UserError, match="is no ExecuTorch program"):
        LoweredNetwork(path, 1)
