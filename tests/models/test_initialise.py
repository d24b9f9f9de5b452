import re

import pytest
import timm
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from random_norms import randomise_norms
from safetensors.torch import save_file
from torch import nn

import netadapt
from netadapt.depth.models import FastDepth
from netadapt.depth.models.fastdepth import GROUPS
from netadapt.errors import UserError
from netadapt.models.initialise import initialise
from netadapt.models.inputs import Normalise
from netadapt.models.weights import PublishedWeights, read_published

INSIDE = (..., slice(4, -4), slice(4, -4))  # of stride 8: the padding reaches 21 pixels far
TINY = dict.fromkeys(GROUPS, 8)
MEAN, STD = (0.4, 0.5, 0.6), (0.2, 0.3, 0.25)


@pytest.fixture(scope="module")
def mobilenet():
    """A trained MobileNetV1 whose batch norms have an epsilon of their own."""
    torch.manual_seed(0)
    network = timm.create_model("mobilenetv1_100", pretrained=False, features_only=True).eval()
    randomise_norms(network)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.eps = 0.01
            assert module.running_var is not None
            module.running_var[0] = 0.003  # where the epsilon counts
    return network


def normalised(image, mean=MEAN, std=STD):
    return (image - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)


@pytest.fixture(scope="module")
def published(mobilenet, tmp_path_factory):
    path = tmp_path_factory.mktemp("weights") / "mobilenet.safetensors"
    says = {
        "bn_eps": "0.01",
        "input": f"RGB (x - {list(MEAN)}) / {list(STD)}, x in [0, 1]",
    }
    save_file(mobilenet.state_dict(), path, says)
    return path


def test_fastdepth_computes_the_features_that_the_weights_computed(mobilenet, published, capsys):
    model = netadapt.load_model("fastdepth", init_from=published).eval()
    line = capsys.readouterr().err
    assert line.startswith(f"loaded 54 of 76 layers from {published}; fresh: decode_conv1, decode")
    assert line.count("\n") == 1
    x = torch.rand(1, 3, 160, 160)
    with torch.no_grad():
        wanted = mobilenet(normalised(x))[2]
        for block in range(6):
            x = model.get_submodule(f"conv{block}")(x)
    torch.testing.assert_close(x[INSIDE], wanted[INSIDE], rtol=1e-3, atol=1e-4)


def test_a_network_that_normalises_its_input_gets_the_difference(mobilenet, published):
    model = netadapt.load_model("fastdepth-timm", init_from=published).eval()
    image = torch.rand(1, 3, 160, 160)
    with torch.no_grad():
        wanted = mobilenet(normalised(image))[2]
        got = model.encoder(model.normalise(image))[2]
    torch.testing.assert_close(got[INSIDE], wanted[INSIDE], rtol=1e-3, atol=1e-4)


channels = st.tuples(*[st.floats(0.1, 0.9)] * 3)


@settings(max_examples=30)
@given(
    mean=channels,
    std=channels,
    own=st.none() | st.tuples(channels, channels),
    bias=st.booleans(),
    eps=st.none() | st.floats(1e-6, 0.1),
)
def test_normalisation_and_epsilon_are_folded_exactly(mean, std, own, bias, eps):
    def network():
        conv = nn.Conv2d(3, 4, 3, bias=bias)
        first = conv if bias else nn.Sequential(conv, nn.BatchNorm2d(4))
        return nn.Sequential(Normalise(*own) if own else nn.Identity(), first).eval()

    torch.manual_seed(0)
    theirs, ours = network(), network()
    randomise_norms(theirs)
    initialise(ours, PublishedWeights("a file", theirs.state_dict(), mean, std, eps))
    for module in theirs.modules():
        if isinstance(module, nn.BatchNorm2d) and eps is not None:
            module.eps = eps
    image = torch.rand(1, 3, 6, 6)
    with torch.no_grad():
        wanted = theirs[1](normalised(image, mean, std))
        torch.testing.assert_close(ours(image), wanted, rtol=1e-3, atol=1e-3)


def test_a_normalisation_that_no_layer_can_take_is_refused():
    model = nn.Sequential(nn.Conv2d(3, 4, 3, bias=False), nn.ReLU())
    with pytest.raises(UserError, match="first layer of Sequential cannot take it"):
        initialise(model, PublishedWeights("a file", model.state_dict(), MEAN, STD))


def test_a_checkpoint_of_other_widths_gives_the_layers_that_fit(tmp_path, capsys):
    torch.manual_seed(0)
    source = FastDepth(TINY)
    randomise_norms(source)
    path = tmp_path / "narrow.safetensors"
    netadapt.save_checkpoint(source, path, input_size=(64, 64))
    model = netadapt.load_model("fastdepth", init_from=path, widths=TINY | {"decode_conv5.1.0": 16})
    assert capsys.readouterr().err == (
        f"loaded 73 of 76 layers from {path}; fresh: decode_conv5.1, decode_conv6.0\n"
    )
    theirs = source.state_dict()
    fresh = ("decode_conv5.1.0.weight", "decode_conv6.0.weight")
    for name, value in model.state_dict().items():
        if name.startswith("decode_conv5.1."):
            continue
        assert torch.equal(value, theirs[name]) is (name not in fresh), name


@pytest.mark.parametrize("prefix", ["", "module."])
def test_an_official_state_dict_is_taken(tmp_path, prefix, capsys):
    source = FastDepth(TINY)
    path = tmp_path / "official.pth.tar"
    torch.save({"state_dict": {prefix + n: t for n, t in source.state_dict().items()}}, path)
    model = netadapt.load_model("fastdepth", init_from=path, widths=TINY)
    assert capsys.readouterr().err == f"loaded 76 of 76 layers from {path}\n"
    for name, value in model.state_dict().items():
        assert torch.equal(value, source.state_dict()[name])


def test_half_precision_is_widened_and_an_unknown_normalisation_is_said(mobilenet, tmp_path):
    path = tmp_path / "half.safetensors"
    save_file({name: tensor.half() for name, tensor in mobilenet.state_dict().items()}, path)
    model = FastDepth()
    line = str(initialise(model, read_published(path)))
    assert line.endswith("; it does not say how its input is normalised: RGB in [0, 1] is assumed")
    assert model.conv0[0].weight.dtype == torch.float32
    torch.testing.assert_close(
        model.conv0[0].weight, mobilenet.conv_stem.weight, rtol=1e-3, atol=1e-4
    )


def test_a_file_of_which_nothing_fits_is_refused(tmp_path):
    path = tmp_path / "other.safetensors"
    save_file({"fc.weight": torch.zeros(7, 5)}, path)
    message = (
        f"no layer of fastdepth is in {path} by name and shape: it has fc.weight (7, 5), "
        "where fastdepth has conv0.0.weight (32, 3, 3, 3)"
    )
    with pytest.raises(UserError, match=re.escape(message)):
        netadapt.load_model("fastdepth", init_from=path)


def write(path, metadata):
    save_file(FastDepth(TINY).state_dict(), path, metadata)


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"bn_eps": "small"}, "bn_eps is 'small'; write a number from 0 to 1"),
        ({"bn_eps": "nan"}, "bn_eps is 'nan'"),
        ({"input": "BGR"}, r"of its input 'BGR'; write it as 'RGB \(x - MEAN\) / STD"),
        ({"input": "RGB (x - 0.5) / 0, x in [0, 1]"}, "metadata says of its input"),
        ({"input": "RGB (x - [1, 2]) / 0.5, x in [0, 1]"}, "metadata says of its input"),
        ({"netadapt": "{}"}, "is damaged, or of another version"),
    ],
)
def test_metadata_that_cannot_be_understood_is_refused(tmp_path, metadata, message):
    path = tmp_path / "weights.safetensors"
    write(path, metadata)
    with pytest.raises(UserError, match=message):
        netadapt.load_model("fastdepth", init_from=path, widths=TINY)


def test_unsound_files_are_refused(tmp_path):
    path = tmp_path / "weights.safetensors"
    with pytest.raises(UserError, match=r"weights .* does not exist"):
        netadapt.load_model("fastdepth", init_from=path)
    path.write_bytes(b"nothing")
    with pytest.raises(UserError, match="is not a safetensors file, or is damaged"):
        netadapt.load_model("fastdepth", init_from=path)
    with pytest.raises(
        UserError, match=r"has weights of its own; to start from .* name the network"
    ):
        netadapt.load_model(path, init_from=path)
    broken = FastDepth(TINY)
    nn.init.constant_(broken.conv0[0].weight, float("nan"))
    save_file(broken.state_dict(), path)
    with pytest.raises(UserError, match=r"conv0\.0\.weight holds values that are not finite"):
        netadapt.load_model("fastdepth", init_from=path, widths=TINY)


def test_the_real_weights_leave_one_layer_and_the_decoder_fresh(nyu):
    path = nyu.parent / "weights" / "mobilenetv1_imagenet_partial.safetensors"
    result = initialise(FastDepth(), read_published(path))
    assert str(result).startswith(f"loaded 52 of 76 layers from {path}; fresh: conv13.3, conv13.4")
    assert {name.partition(".")[0] for name in result.fresh} == {
        "conv13",
        *(f"decode_conv{stage}" for stage in range(1, 7)),
    }
