import pytest
import timm
import torch
import torch.nn.functional as F
from counting import deployed_size
from random_norms import randomise_norms
from torch import Tensor, nn

from netadapt.depth.models import FastDepth, fastdepth_widths
from netadapt.depth.models.fastdepth import PRESETS
from netadapt.errors import UserError
from netadapt.models import build
from netadapt.models.initialise import initialise
from netadapt.models.weights import PublishedWeights

STRIDES = (2, 1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)
NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")


def official_names() -> list[str]:
    """The names of the official state dict, in its order."""

    def layers(prefix: str, *convs: int) -> list[str]:
        names = []
        for conv in convs:
            names.append(f"{prefix}.{conv}.weight")
            names += [f"{prefix}.{conv + 1}.{key}" for key in NORM]
        return names

    names = layers("conv0", 0)
    for block in range(1, 14):
        names += layers(f"conv{block}", 0, 3)
    for stage in range(1, 6):
        names += layers(f"decode_conv{stage}.0", 0) + layers(f"decode_conv{stage}.1", 0)
    return names + layers("decode_conv6", 0)


def twin(state: dict[str, Tensor], x: Tensor) -> Tensor:
    """The official forward pass, written on the bare tensors."""

    def layer(x: Tensor, conv: str, norm: str, stride: int, ceiling: float) -> Tensor:
        weight = state[f"{conv}.weight"]
        groups = 1 if weight.shape[1] == x.shape[1] and x.shape[1] > 1 else x.shape[1]
        x = F.conv2d(x, weight, stride=stride, padding=weight.shape[-1] // 2, groups=groups)
        mean, var, scale, shift = (
            state[f"{norm}.{key}"] for key in ("running_mean", "running_var", "weight", "bias")
        )
        x = F.batch_norm(x, mean, var, scale, shift)
        return x.clamp(0, ceiling)

    kept = {}
    x = layer(x, "conv0.0", "conv0.1", 2, 6)
    for block in range(1, 14):
        x = layer(x, f"conv{block}.0", f"conv{block}.1", STRIDES[block], 6)
        x = layer(x, f"conv{block}.3", f"conv{block}.4", 1, 6)
        kept[block] = x
    for stage, skip in zip(range(1, 6), (None, 5, 3, 1, None), strict=True):
        for part in (0, 1):
            name = f"decode_conv{stage}.{part}"
            x = layer(x, f"{name}.0", f"{name}.1", 1, torch.inf)
        x = x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
        x = x if skip is None else x + kept[skip]
    return layer(x, "decode_conv6.0", "decode_conv6.1", 1, torch.inf)


def test_parameters_have_the_official_names_in_the_official_order():
    assert list(FastDepth().state_dict()) == official_names()


@pytest.mark.parametrize("widths", [None, "pruned"])
def test_forward_is_the_official_one(widths):
    torch.manual_seed(0)
    model = FastDepth(widths).eval()
    randomise_norms(model)
    image = torch.rand(2, 3, 64, 96)
    with torch.no_grad():
        depth = model(image)
        torch.testing.assert_close(depth, twin(model.state_dict(), image), rtol=1e-5, atol=1e-5)
    assert depth.shape == (2, 1, 64, 96)
    assert depth.std() > 0


@pytest.mark.parametrize(
    ("name", "weights", "gmacs"), [("fastdepth", 3.93, 0.737), ("fastdepth-pruned", 1.34, 0.366)]
)
def test_sizes_are_those_of_the_paper_at_224(name, weights, gmacs):
    convolutions = [module for module in build(name).modules() if isinstance(module, nn.Conv2d)]
    counted = sum(module.weight.numel() for module in convolutions)
    assert counted / 1e6 == pytest.approx(weights, abs=0.005)
    assert deployed_size(name, (224, 224))[1] == pytest.approx(gmacs, abs=0.0005)


def test_widths_can_be_a_pair_a_mapping_or_a_preset():
    encoder = (8, 16, 16, 24, 32, 40, 48, 48, 48, 48, 48, 48, 64, 72)
    decoder = (56, 40, 24, 16, 8)
    from_pair = FastDepth((encoder, decoder))
    from_mapping = FastDepth(fastdepth_widths(encoder, decoder))
    shapes = {name: tensor.shape for name, tensor in from_pair.state_dict().items()}
    assert shapes == {name: tensor.shape for name, tensor in from_mapping.state_dict().items()}
    assert from_pair.conv13[3].out_channels == 72
    assert from_pair.decode_conv2[1][0].out_channels == 40
    assert FastDepth({"conv0.0": 8}).conv1[3].out_channels == 64
    assert fastdepth_widths(encoder, decoder).keys() == PRESETS["full"].keys()


@pytest.mark.parametrize(
    ("widths", "message"),
    [
        ("small", "unknown FastDepth widths 'small'; known: full, pruned"),
        ({"decode_conv2.1.0": 8}, "no channel group 'decode_conv2.1.0'"),
        ({"conv1.3": 0}, "conv1.3 cannot have 0 channels"),
        ({"conv1.3": 10**9}, "cannot have 1000000000 channels"),
        ({"conv1.3": 8.0}, "cannot have 8.0 channels"),
        (([8] * 14, [8] * 4), "14 encoder and 5 decoder"),
        (([8] * 14, [8, 8, 16, 8, 8]), "decode_conv3 has 16 channels and conv3, which is added"),
    ],
)
def test_widths_that_do_not_fit_are_refused(widths, message):
    with pytest.raises(UserError, match=message):
        FastDepth(widths)


def test_encoder_takes_the_weights_of_timm():
    torch.manual_seed(0)
    theirs = timm.create_model("mobilenetv1_100", pretrained=False, features_only=True).eval()
    whole = timm.create_model("mobilenetv1_100", pretrained=False).eval()
    randomise_norms(whole)
    theirs.load_state_dict(whole.state_dict(), strict=False)
    ours = FastDepth().eval()
    result = initialise(ours, PublishedWeights("timm", whole.state_dict()))
    assert result.fresh == tuple(n for n in result.fresh if n.startswith("decode"))
    assert {name.partition(".")[0] for name in result.loaded} == {f"conv{n}" for n in range(14)}
    x = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        wanted = theirs(x)
        got = []
        for block in range(14):
            x = ours.get_submodule(f"conv{block}")(x)
            got.append(x)
    for block, feature in zip((1, 3, 5, 11, 13), wanted, strict=True):
        torch.testing.assert_close(got[block], feature)


def test_imagenet_weights_need_the_full_encoder():
    with pytest.raises(UserError, match="full encoder only"):
        FastDepth("pruned", imagenet=True)
