"""Every network learns: a few steps on two photographs lower its own loss."""

import pytest
import torch
from fake_depth import fake_task

from netadapt.models import build
from netadapt.training import TrainSettings, fit, load_checkpoint, save_checkpoint

RUNS = {
    "densedepth": ("densedepth", {}, "densedepth", 3),
    "lapdepth": ("lapdepth", {}, "silog", 3),
    "lapdepth on mobilenet_v2": ("lapdepth", {"encoder": "mobilenet_v2"}, "silog-gradient", 4),
    "monodepth2": ("monodepth2", {}, "berhu", 6),
    "fastdepth-nnconv5": ("fastdepth-nnconv5", {}, "l1", 4),
    "fastdepth-no-skips": ("fastdepth-no-skips", {}, "l1", 5),
    "fastdepth-skip-concat": ("fastdepth-skip-concat", {}, "l1", 5),
    "fastdepth-timm": ("fastdepth-timm", {"encoder": "resnet18"}, "l1", 5),
}


# the encoder of ResNeXt-101 takes as long as all others, and another encoder is among them
SLOW = {"lapdepth"}


@pytest.mark.parametrize(
    "run", [pytest.param(run, marks=[pytest.mark.slow] * (run in SLOW)) for run in RUNS]
)
def test_a_short_training_lowers_the_loss(run):
    name, options, loss, steps = RUNS[run]
    torch.manual_seed(0)
    model, task, losses = build(name, **options), fake_task(loss, train_size=2), []
    if hasattr(model, "set_depth_statistics"):
        model.set_depth_statistics(3.0, 1.0)
    how = TrainSettings(steps, batch_size=2, optimizer="adamw", lr=3e-4, schedule="constant")
    fit(model, task, how, on_step=lambda step, loss, lr: losses.append(loss))
    assert min(losses[-2:]) < 0.97 * losses[0]


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("lapdepth", {"encoder": "mobilenet_v2", "max_depth": 80.0}),
        ("monodepth2", {"scales": [0, 1]}),
        ("fastdepth-timm", {"encoder": "resnet18", "skips": "concat"}),
        ("fastdepth-nnconv5", {}),
    ],
)
def test_a_checkpoint_brings_the_network_back_with_its_options(name, options, tmp_path):
    model = build(name, **options).eval()
    save_checkpoint(model, tmp_path / "model.safetensors", input_size=(64, 64))
    again = load_checkpoint(tmp_path / "model.safetensors")
    assert again.spec.options == options
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(again(image), model(image))
