import itertools

import pytest
import torch
from counting import deployed_size
from random_norms import randomise_norms
from torch import Tensor, nn

from netadapt.depth.models import FastDepth, FastDepthVariant
from netadapt.errors import UserError
from netadapt.models import build
from netadapt.models.initialise import initialise
from netadapt.models.weights import PublishedWeights

SIBLINGS = ("fastdepth-nnconv5", "fastdepth-no-skips", "fastdepth-skip-concat", "fastdepth-timm")


@pytest.mark.parametrize(
    ("name", "millions", "gmacs"),
    [
        ("fastdepth", 3.96, 0.74),
        ("fastdepth-timm", 3.96, 0.74),
        ("fastdepth-no-skips", 3.96, 0.74),
        ("fastdepth-skip-concat", 4.02, 0.85),
        ("fastdepth-nnconv5", 20.67, 3.78),
    ],
)
def test_sizes_at_224x224_are_those_of_the_docstring(name, millions, gmacs):
    parameters, macs = deployed_size(name, (224, 224))
    assert parameters == pytest.approx(millions, abs=0.006)
    assert macs == pytest.approx(gmacs, abs=0.005)
    assert f"{millions:.2f}" in str(FastDepthVariant.__doc__)
    assert f"{gmacs:.2f}" in str(FastDepthVariant.__doc__)


def test_on_mobilenet_with_additions_it_is_fastdepth():
    torch.manual_seed(0)
    variant = FastDepthVariant().eval()
    randomise_norms(variant)
    variant.normalise = nn.Identity()  # type: ignore[assignment]
    official = FastDepth().eval()
    initialise(official, PublishedWeights("timm", variant.encoder.state_dict()))
    state = {name: value for name, value in official.state_dict().items() if name[:4] == "conv"}
    for place, stage in enumerate(variant.decoder.values(), start=1):
        state |= {f"decode_conv{place}.{key}": value for key, value in stage.state_dict().items()}
    state |= {f"decode_conv6.{key}": value for key, value in variant.head.state_dict().items()}
    official.load_state_dict(state, strict=True)
    image = torch.rand(2, 3, 64, 96)
    with torch.no_grad():
        depth = official(image)
        torch.testing.assert_close(variant(image), depth, rtol=1e-4, atol=1e-5)
    assert depth.std() > 0


def test_concatenation_joins_what_addition_adds():
    torch.manual_seed(0)
    both = FastDepthVariant(skips="concat")
    given = [next(stage.parameters()).shape[0] for stage in both.decoder.values()]
    assert given == [1024, 512, 256 + 256, 128 + 128, 64 + 64]
    seen: dict[str, Tensor] = {}
    both.decoder["4"].register_forward_pre_hook(lambda _, inputs: seen.update(x=inputs[0]))
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        features = both.eval().encoder(both.normalise(image))
        both(image)
    assert torch.equal(seen["x"][:, 256:], features[2])


def test_plain_decoders_convolve_over_all_channels():
    decoder = build("fastdepth-nnconv5").decoder
    shapes = [tuple(stage[0].weight.shape) for stage in decoder.values()]
    widths = [1024, 512, 256, 128, 64, 32]
    assert shapes == [(b, a, 5, 5) for a, b in itertools.pairwise(widths)]


@pytest.mark.parametrize("name", SIBLINGS)
@pytest.mark.parametrize("size", [(64, 64), (32, 96)])
def test_depth_has_the_size_of_the_image(name, size):
    with torch.no_grad():
        assert build(name).eval()(torch.rand(2, 3, *size)).shape == (2, 1, *size)


@pytest.mark.parametrize(
    ("encoder", "widths"),
    [
        ("resnet18", {16: 256, 8: 128, 4: 64, 2: 64, 1: 32}),
        ("mobilenetv3_large_100", {16: 112, 8: 40, 4: 24, 2: 16, 1: 32}),
        ("efficientnet_lite0", {16: 112, 8: 40, 4: 24, 2: 16, 1: 32}),
        ("convnext_atto", {16: 160, 8: 80, 4: 40, 2: 20, 1: 32}),  # no features of stride 2
        ("regnetx_002", {16: 152, 8: 56, 4: 24, 2: 32, 1: 32}),
    ],
)
def test_a_stage_is_as_wide_as_the_features_of_its_stride(encoder, widths):
    model = build("fastdepth-timm", encoder=encoder).eval()
    assert {int(n): stage[-1][0].out_channels for n, stage in model.decoder.items()} == widths
    with torch.no_grad():
        assert model(torch.rand(1, 3, 64, 96)).shape == (1, 1, 64, 96)


@pytest.mark.parametrize(
    ("name", "options"), [("fastdepth", {}), ("fastdepth-timm", {"encoder": "resnet18"})]
)
def test_head_starts_at_the_depth_statistics(name, options):
    torch.manual_seed(0)
    model = build(name, **options).train()
    model.set_depth_statistics(4.0, 0.8)  # five deviations above 0: the ReLU cuts nothing
    depth = model(torch.rand(4, 3, 64, 64)).detach()
    assert depth.mean() == pytest.approx(4.0, abs=0.05)
    assert depth.std() == pytest.approx(0.8, abs=0.05)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"encoder": "resnet19"},
            "timm cannot build encoder 'resnet19': it has no network of that name",
        ),
        ({"encoder": "swin_tiny_patch4_window7_224"}, "4, 8, 16, 32, channels last"),
        ({"encoder": "vit_tiny_patch16_224"}, "doubling strides; .* at 16, 16, 16"),
        ({"decoder": "wide"}, "no decoder 'wide' with skips 'add'; decoders: depthwise, plain"),
        ({"skips": "mul"}, "skips: add, concat, none"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, message):
    with pytest.raises(UserError, match=message), torch.device("meta"):
        build("fastdepth-timm", **options)
