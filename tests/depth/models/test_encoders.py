"""What networks with an encoder share: ImageNet weights, normalising, sizes that halve."""

import pytest
import timm
import torch
from torch import nn

from netadapt.errors import UserError
from netadapt.models import build
from netadapt.models.inputs import Normalise

CREATE = timm.create_model
USERS = {
    "monodepth2": ["resnet18", "resnet18"],
    "densedepth": ["densenet169"],
    "lapdepth": ["resnext101_32x8d"],
    "fastdepth-timm": ["mobilenetv1_100"],
    "fastdepth-nnconv5": ["mobilenetv1_100"],
}


@pytest.mark.parametrize("name", USERS)
def test_imagenet_asks_timm_for_every_encoder_and_is_forgotten(name, monkeypatch):
    asked = []

    def create(encoder, pretrained=False, **options):
        asked.append((encoder, pretrained))
        with torch.device("meta"):
            return CREATE(encoder, **options)

    monkeypatch.setattr(timm, "create_model", create)
    with torch.device("meta"):
        model = build(name, imagenet=True)
    assert asked == [(encoder, True) for encoder in USERS[name]]
    assert model.spec.name == name
    assert model.spec.options == {}  # a checkpoint has its weights and downloads none


@pytest.mark.parametrize(
    ("name", "encoder"), [("densedepth", "densenet169"), ("fastdepth", "mobilenetv1_100")]
)
def test_weights_that_cannot_be_had_are_said_so(name, encoder, monkeypatch):
    def offline(*_: object, **__: object) -> nn.Module:
        raise OSError("no route to host\nmore")

    monkeypatch.setattr(timm, "create_model", offline)
    with pytest.raises(UserError, match=f"{encoder}: no route to host; check the network"):
        build(name, imagenet=True)


@pytest.mark.parametrize(
    ("name", "size", "message"),
    [
        ("fastdepth", (100, 96), "FastDepth takes .* multiples of 32, not 100x96"),
        ("fastdepth-no-skips", (48, 64), "this network takes .* multiples of 32, not 48x64"),
        ("monodepth2", (80, 64), "Monodepth2 takes .* multiples of 32, not 80x64"),
        ("lapdepth", (72, 64), "LapDepth takes .* multiples of 16, not 72x64"),
    ],
)
def test_a_size_that_does_not_halve_as_often_as_it_must_is_refused(name, size, message):
    with torch.device("meta"), pytest.raises(UserError, match=message):
        build(name)(torch.zeros(1, 3, *size))


def test_normalising_is_no_part_of_the_weights():
    normalise = Normalise((0.1, 0.2, 0.3), (0.5, 0.5, 0.25))
    assert not normalise.state_dict()
    image = torch.ones(1, 3, 1, 1)
    assert normalise(image).flatten().tolist() == pytest.approx([1.8, 1.6, 2.8])
