from typing import Any

import pytest
import torch
import torch.nn.functional as F
from counting import deployed_size

from netadapt.depth.models import DenseDepth


@pytest.fixture(scope="module")
def model():
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        return DenseDepth().eval()


def twin(model, image):
    """The answer, its decoder by functions on the bare tensors."""
    state = model.state_dict()

    def conv(name, x):
        weight = state[f"{name}.weight"]
        return F.conv2d(x, weight, state[f"{name}.bias"], padding=weight.shape[-1] // 2)

    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    seen, x = {}, (image - mean) / std
    for name, layer in model.encoder.named_children():
        seen[name] = x = layer(x)
    x = conv("bottleneck", x)
    for stage, skip in enumerate(["transition2", "transition1", "pool0", "norm0"]):
        x = F.interpolate(x, seen[skip].shape[-2:], mode="bilinear", align_corners=False)
        x = conv(f"decoder.{stage}.conv1", torch.cat([x, seen[skip]], dim=1))
        x = F.leaky_relu(conv(f"decoder.{stage}.conv2", x), 0.2)
    return conv("head", x)


def test_size_at_480x640_is_that_of_the_docstring():
    parameters, macs = deployed_size("densedepth", (480, 640))
    assert parameters == pytest.approx(42.66, abs=0.005)
    assert macs == pytest.approx(122.68, abs=0.005)
    assert "42.7 million parameters, 122.7 GMACs at 480x640" in str(DenseDepth.__doc__)


def test_widths_are_those_of_the_paper(model):
    assert model.bottleneck.weight.shape == (1664, 1664, 1, 1)
    convolutions = [(stage.conv1.in_channels, stage.conv1.out_channels) for stage in model.decoder]
    assert convolutions == [
        (1664 + 256, 832), (832 + 128, 416), (416 + 64, 208), (208 + 64, 104),
    ]  # fmt: skip
    assert not any("norm" in name for name, _ in model.decoder.named_modules())


@pytest.mark.parametrize("size", [(64, 96), (70, 90)])
def test_the_answer_is_that_of_a_twin_at_half_the_size(model, size):
    image = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        answers, depth = model.training_outputs(image), model(image)
        torch.testing.assert_close(answers, twin(model, image), rtol=1e-4, atol=1e-5)
    assert answers.shape == (2, 1, size[0] // 2, size[1] // 2)
    torch.testing.assert_close(depth, 10 / answers.clamp(1, 100))


def test_depth_stays_between_a_tenth_and_ten_metres(model):
    answers = torch.tensor([-3.0, 0.0, 1.0, 4.0, 100.0, 1e6])
    held: Any = DenseDepth.forward
    stub = type("Stub", (), {"training_outputs": lambda self, image: answers})()
    assert held(stub, None).tolist() == pytest.approx([10, 10, 10, 2.5, 0.1, 0.1])


def test_an_untrained_network_answers_off_the_clamp(model):
    with torch.no_grad():
        depth = model(torch.rand(1, 3, 64, 64))
    assert 0.5 < depth.min() < depth.max() < 9.5
