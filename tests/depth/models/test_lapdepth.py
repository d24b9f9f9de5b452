from typing import Any

import pytest
import torch
import torch.nn.functional as F
from counting import deployed_size
from torch import nn

from netadapt.depth.models import LapDepth
from netadapt.depth.models.lapdepth import StandardisedConv2d, laplacian_pyramid
from netadapt.errors import UserError
from netadapt.models import build

SMALL = {"encoder": "mobilenet_v2"}


@pytest.fixture(scope="module")
def model():
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        return LapDepth(encoder="mobilenet_v2").eval()


@pytest.fixture(scope="module")
def skeleton():
    """The published network, without numbers in it."""
    with torch.device("meta"):
        return LapDepth()


@pytest.mark.parametrize(
    ("encoder", "millions", "gmacs"),
    [("resnext101_32x8d", 73.62, 124.58), ("mobilenet_v2", 15.54, 57.82)],
)
def test_sizes_at_416x544_are_those_of_the_docstring(encoder, millions, gmacs):
    parameters, macs = deployed_size("lapdepth", (416, 544), encoder=encoder)
    assert parameters == pytest.approx(millions, abs=0.005)
    assert macs == pytest.approx(gmacs, abs=0.005)
    assert f"{millions:.1f}" in str(LapDepth.__doc__)
    assert f"{gmacs:.1f}" in str(LapDepth.__doc__)


def test_the_encoder_ends_at_layer3(skeleton):
    assert skeleton.encoder.feature_info.channels() == [64, 256, 512, 1024]
    assert skeleton.encoder.feature_info.reduction() == [2, 4, 8, 16]
    assert not any("layer4" in name for name, _ in skeleton.named_modules())


def test_convolutions_outside_the_encoder_are_standardised_and_pre_activated(skeleton):
    for name, module in skeleton.named_modules():
        if isinstance(module, nn.Conv2d) and not name.startswith("encoder."):
            assert isinstance(module, StandardisedConv2d), name
            assert module.bias is None, name
            norm, activation, conv = skeleton.get_submodule(name.rpartition(".")[0])
            assert norm.eps == 1e-3, name
            assert isinstance(activation, nn.ReLU), name
            assert conv is module, name


def test_every_dilated_branch_sees_all_before_it(skeleton):
    pyramid = skeleton.bottleneck
    assert pyramid.reduce[2].weight.shape[:2] == (512, 1024)
    assert [branch[1][2].dilation[0] for branch in pyramid.branches] == [3, 6, 12, 18]
    assert [branch[0][2].in_channels for branch in pyramid.branches] == [512, 768, 1024, 1280]
    assert pyramid.fuse[2].weight.shape[:2] == (512, 1536)


def test_a_stage_leaves_four_channels_for_the_pyramids(skeleton):
    reduced = [stage.reduce[2].out_channels for stage in skeleton.decoder]
    mixed = [stage.mix[2].in_channels for stage in skeleton.decoder]
    assert mixed == [256, 128, 64, 64]
    assert reduced == [width - 4 for width in mixed]


def test_a_standardised_convolution_is_that_of_a_naive_twin():
    torch.manual_seed(0)
    conv = StandardisedConv2d(6, 4, 3, padding=2, dilation=2, bias=False)
    kernels = []
    for kernel in conv.weight.detach():
        values = kernel.flatten().tolist()
        mean = sum(values) / len(values)
        std = (sum((v - mean) ** 2 for v in values) / (len(values) - 1)) ** 0.5
        kernels.append((kernel - mean) / (std + 1e-5))
    x = torch.rand(2, 6, 9, 9)
    wanted = F.conv2d(x, torch.stack(kernels), padding=2, dilation=2)
    torch.testing.assert_close(conv(x), wanted, rtol=1e-4, atol=1e-5)
    before = conv(x)
    conv.weight.data.mul_(7).add_(3)  # neither size nor offset of the weights matter
    torch.testing.assert_close(conv(x), before, rtol=1e-3, atol=1e-3)


def test_the_pyramid_and_the_smallest_image_give_the_image_back():
    image = torch.rand(1, 3, 64, 96)
    lost = laplacian_pyramid(image)
    x = image
    for _ in lost:
        x = F.avg_pool2d(x, 2)  # what halving bilinearly is
    for laplacian in reversed(lost):
        x = F.interpolate(x, scale_factor=2, mode="bilinear") + laplacian
    torch.testing.assert_close(x, image)


@pytest.mark.parametrize("size", [(64, 96), (80, 64)])
def test_the_answer_is_the_squashed_sum_of_the_residuals(model, size):
    image = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(1))
    heads = [model.head, *(stage.head for stage in model.decoder)]
    heard = []
    hooks = [head.register_forward_hook(lambda *call: heard.append(call[2])) for head in heads]
    with torch.no_grad():
        depth = model(image)
    for hook in hooks:
        hook.remove()
    mean = torch.tensor([0.485, 0.456, 0.406]).view(3, 1, 1)
    std = torch.tensor([0.229, 0.224, 0.225]).view(3, 1, 1)
    lost = laplacian_pyramid((image - mean) / std)
    total = heard[0].sigmoid()
    for residual, laplacian in zip(heard[1:], reversed(lost), strict=True):
        total = F.interpolate(total, scale_factor=2, mode="bilinear")
        total = total + (residual + 0.1 * laplacian.mean(dim=1, keepdim=True)).tanh()
    assert depth.shape == (2, 1, *size)
    torch.testing.assert_close(depth, 10 * total.sigmoid())


def test_a_finer_stage_sees_the_residual_and_the_laplacian_below_it(model):
    given: dict[str, Any] = {}
    stage = model.decoder[1]
    hooks = [
        stage.register_forward_pre_hook(lambda _, inputs: given.update(inputs=inputs)),
        stage.mix.register_forward_pre_hook(lambda _, inputs: given.update(mixed=inputs[0])),
    ]
    with torch.no_grad():
        model(torch.rand(1, 3, 64, 64))
    for hook in hooks:
        hook.remove()
    _, skip, coarser, laplacian = given["inputs"]
    assert skip.shape == (1, 24, 16, 16)
    upsampled = F.interpolate(coarser, scale_factor=2, mode="bilinear")
    assert torch.equal(given["mixed"][:, -4:], torch.cat([upsampled, laplacian], dim=1))


def test_max_depth_scales_the_answer(model):
    far = build("lapdepth", max_depth=80.0, **SMALL).eval()
    far.load_state_dict(model.state_dict())
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(far(image), 8 * model(image))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"encoder": "resnet18"}, "no encoder 'resnet18'; known: resnext101_32x8d, mobilenet_v2"),
        ({"max_depth": 0}, "max_depth is 0; give metres above 0"),
        ({"max_depth": float("nan")}, "max_depth is nan"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        build("lapdepth", **options)
