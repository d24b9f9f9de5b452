import pytest
import timm
import torch
import torch.nn.functional as F
from counting import deployed_size

from netadapt.depth.models import Monodepth2
from netadapt.depth.models.monodepth2 import PoseNetwork, depth_of
from netadapt.errors import UserError
from netadapt.models import build


@pytest.fixture(scope="module")
def model():
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        return Monodepth2().eval()


def twin(model, image):
    """Disparities of the four scales, finest first, by functions on the bare tensors."""
    state = model.state_dict()

    def conv(name, x):
        x = F.pad(x, (1, 1, 1, 1), mode="reflect")
        return F.conv2d(x, state[f"{name}.weight"], state[f"{name}.bias"])

    features = model.encoder((image - 0.45) / 0.225)
    x, found = features[4], {}
    for stage in (4, 3, 2, 1, 0):
        x = F.elu(conv(f"decoder.{stage}.before.0", x))
        x = x.repeat_interleave(2, dim=2).repeat_interleave(2, dim=3)
        if stage:
            x = torch.cat([x, features[stage - 1]], dim=1)
        x = F.elu(conv(f"decoder.{stage}.after.0", x))
        head = f"side_heads.{stage}" if stage else "head"
        if stage < 4:
            found[stage] = conv(head, x).sigmoid()
    return [found[scale] for scale in range(4)]


@pytest.mark.parametrize(("layers", "millions", "gmacs"), [(18, 14.33, 8.00), (50, 32.52, 16.54)])
def test_sizes_at_192x640_are_those_of_the_docstring(layers, millions, gmacs):
    parameters, macs = deployed_size("monodepth2", (192, 640), num_layers=layers)
    assert parameters == pytest.approx(millions, abs=0.005)
    assert macs == pytest.approx(gmacs, abs=0.005)
    assert f"{millions:.1f} million" in str(Monodepth2.__doc__)
    assert f"{gmacs:.1f} GMACs" in str(Monodepth2.__doc__)


def test_channels_are_those_of_the_paper():
    encoder = build("monodepth2", num_layers=50).encoder.feature_info.channels()
    assert encoder == [64, 256, 512, 1024, 2048]
    assert Monodepth2().encoder.feature_info.channels() == [64, 64, 128, 256, 512]
    decoder = Monodepth2().decoder
    assert [decoder[str(i)].after[0].out_channels for i in range(5)] == [16, 32, 64, 128, 256]


@pytest.mark.parametrize("size", [(64, 96), (96, 64)])
def test_disparities_are_those_of_a_twin(model, size):
    image = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        got, wanted = model.training_outputs(image), twin(model, image)
    assert [tuple(d.shape) for d in got] == [
        (2, 1, size[0] >> scale, size[1] >> scale) for scale in range(4)
    ]
    for ours, theirs in zip(got, wanted, strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("training", [False, True])
def test_only_the_finest_depth_is_deployed(model, training):
    image = torch.rand(2, 3, 64, 64)
    model.train(training)
    try:
        with torch.no_grad():
            depth, disparities = model(image), model.training_outputs(image)
    finally:
        model.eval()
    torch.testing.assert_close(depth, 1 / (0.01 + 9.99 * disparities[0]))


def test_depth_runs_from_a_hundred_to_a_tenth():
    assert depth_of(torch.tensor([0.0, 1.0])).tolist() == pytest.approx([100.0, 0.1])


def test_what_only_training_uses_can_be_taken_away(model):
    image = torch.rand(1, 3, 64, 64)
    deployed = Monodepth2().eval()
    deployed.load_state_dict(model.state_dict())
    for part in Monodepth2.training_only:
        delattr(deployed, part)
    with torch.no_grad():
        assert torch.equal(deployed(image), model(image))


def test_fewer_scales_have_fewer_heads():
    model = Monodepth2(scales=[0, 2])
    shapes = [tuple(d.shape) for d in model.training_outputs(torch.rand(1, 3, 64, 64))]
    assert shapes == [(1, 1, 64, 64), (1, 1, 16, 16)]
    assert list(Monodepth2(scales=[0]).side_heads) == []


def test_pose_is_the_mean_of_six_small_numbers():
    torch.manual_seed(0)
    pose = PoseNetwork().eval()
    assert pose.encoder.conv1.weight.shape == (64, 6, 7, 7)
    assert [m.out_channels for m in pose.decoder if hasattr(m, "out_channels")] == [256] * 3 + [6]
    first, second = torch.rand(2, 2, 3, 64, 96)
    with torch.no_grad():
        axis_angle, translation = pose(first, second)
        frames = (torch.cat([first, second], dim=1) - 0.45) / 0.225
        wanted = 0.01 * pose.decoder(pose.encoder(frames)[-1]).mean(dim=(2, 3))
    torch.testing.assert_close(torch.cat([axis_angle, translation], dim=1), wanted)
    assert sum(p.numel() for p in pose.parameters()) / 1e6 == pytest.approx(12.5, abs=0.005)


def test_timm_repeats_and_halves_the_first_layer_for_two_frames():
    weight = torch.rand(64, 3, 7, 7)
    doubled = timm.models.adapt_input_conv(6, weight)
    torch.testing.assert_close(doubled, torch.cat([weight, weight], dim=1) / 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_layers": 34}, "18 or 50 layers, not 34"),
        ({"scales": [1, 2]}, "scales are 0 and any of 1, 2, 3"),
        ({"scales": [0, 4]}, r"not \[0, 4\]"),
    ],
)
def test_options_that_do_not_fit_are_refused(options, message):
    with pytest.raises(UserError, match=message):
        build("monodepth2", **options)
