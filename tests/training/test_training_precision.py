import pytest
import torch
from fake_depth import fake_task, tiny
from torch import nn

from netadapt.errors import UserError
from netadapt.training import TrainSettings, fit, precision
from netadapt.training.precision import autocast, cpu_has_bf16, fastest_layers

CPU = torch.device("cpu")


def trained(monkeypatch, **changes):
    monkeypatch.setattr(precision, "cpu_has_bf16", lambda: True)  # others only take longer
    model, losses = tiny(), []
    how = TrainSettings(steps=15, batch_size=4, optimizer="adamw", lr=1e-3, **changes)
    fit(model, fake_task(), how, on_step=lambda step, loss, lr: losses.append(loss))
    return model, losses


def test_bfloat16_learns_as_float32_does_and_leaves_float32_weights(monkeypatch):
    _, exact = trained(monkeypatch, precision="fp32")
    model, rounded = trained(monkeypatch, precision="bf16")
    assert rounded != exact
    assert rounded[0] == pytest.approx(exact[0], rel=0.05)
    assert sum(rounded[-10:]) == pytest.approx(sum(exact[-10:]), rel=0.2)
    assert {value.dtype for value in model.parameters()} == {torch.float32}
    assert trained(monkeypatch, precision="bf16")[1] == rounded


def test_only_depthwise_convolutions_stay_in_float32_and_only_while_training():
    layers = nn.Sequential(nn.Conv2d(4, 4, 3, groups=4), nn.Conv2d(4, 8, 1))
    seen = []
    for layer in layers:
        layer.register_forward_hook(lambda _, inputs, output: seen.append(output.dtype))
    image = torch.rand(1, 4, 8, 8)
    with fastest_layers(layers, "bf16", CPU), autocast("bf16", CPU):
        layers(image)
    with autocast("bf16", CPU):
        layers(image)
    bf16 = torch.bfloat16
    assert seen == [torch.float32, bf16, bf16, bf16]
    assert all("forward" not in vars(layer) for layer in layers)


@pytest.mark.parametrize(
    ("line", "has"),
    [
        ("flags\t: fpu avx512f avx512_bf16 avx512_vnni", True),
        ("flags\t: fpu amx_bf16", True),
        ("Features\t: fp asimd bf16 i8mm", True),
        ("flags\t: fpu avx2 avx512f", False),
        ("", False),
    ],
)
def test_whether_a_cpu_has_bfloat16_is_read_from_its_flags(tmp_path, line, has):
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text(f"processor\t: 0\n{line}\n")
    assert cpu_has_bf16(cpuinfo) is has
    assert not cpu_has_bf16(tmp_path / "absent")


def test_bfloat16_is_refused_where_the_cpu_has_none(monkeypatch):
    monkeypatch.setattr(precision, "cpu_has_bf16", lambda: False)
    with pytest.raises(UserError, match="AVX512_BF16 or AMX, which this one lacks; leave out --p"):
        fit(tiny(), fake_task(), TrainSettings(steps=1, precision="bf16"))
    with pytest.raises(UserError, match="--precision int8: give one of fp32, bf16"):
        TrainSettings(steps=1, precision="int8")  # type: ignore[arg-type]
    with pytest.raises(UserError, match="--ema 1: give a number of at least 0 and below 1"):
        TrainSettings(steps=1, ema=1)
