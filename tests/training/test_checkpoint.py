import json
from dataclasses import replace

import pytest
import torch
from fake_depth import SIZE, TINY, tiny
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from netadapt.errors import UserError
from netadapt.models import build
from netadapt.pruning import trace
from netadapt.training import checkpoint_info, load_checkpoint, load_model, save_checkpoint
from netadapt.training.checkpoint import load_moments, load_pruned

USERS_OWN = """
from torch import nn

def net(channels=8):
    return nn.Sequential(nn.Conv2d(3, channels, 3, padding=1), nn.ReLU(), nn.Conv2d(channels, 1, 1))
"""


def same_output(first: nn.Module, second: nn.Module) -> bool:
    image = torch.rand(1, 3, *SIZE)
    with torch.no_grad():
        return torch.equal(first.eval()(image), second.eval()(image))


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "net.safetensors"
    save_checkpoint(tiny(), path, input_size=SIZE, info={"delta1_holdout": 0.5, "step": 3})
    return path


def rewritten(path, change=lambda metadata: None, tensors=None):
    """The checkpoint with its metadata or tensors tampered with, and no checksum to tell."""
    with safe_open(path, framework="pt") as file:
        metadata = json.loads(file.metadata()["netadapt"])
        stored = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    del metadata["checksum"]
    change(metadata)
    save_file(tensors(stored) if tensors else stored, path, {"netadapt": json.dumps(metadata)})


def test_a_network_comes_back_as_it_was(saved):
    again = load_checkpoint(saved)
    assert not again.training
    assert again.spec.input_size == SIZE
    assert same_output(tiny(), again)
    assert checkpoint_info(saved) == {"delta1_holdout": 0.5, "step": 3}


@pytest.mark.filterwarnings("ignore")
def test_a_pruned_network_comes_back_with_its_widths(tmp_path):
    torch.manual_seed(0)
    model = build("fastdepth", widths=TINY | {"conv13.3": 24})
    widths = {"conv13.3": 16, "conv5.3": 3, "decode_conv5.1.0": 5}
    base = trace(model, torch.zeros(1, 3, *SIZE))
    smaller = base.pruned(widths)
    save_checkpoint(smaller, tmp_path / "small.safetensors", input_size=SIZE)
    again = load_checkpoint(tmp_path / "small.safetensors")
    assert again.spec.widths == TINY | widths
    assert same_output(smaller, again)
    cut = load_pruned(tmp_path / "small.safetensors", base)
    assert cut.spec == again.spec
    assert same_output(smaller, cut)
    save_checkpoint(again, tmp_path / "again.safetensors")  # it remembers its input size
    first, second = (tmp_path / name for name in ("small.safetensors", "again.safetensors"))
    assert first.read_bytes() == second.read_bytes()


def test_a_network_of_the_user_comes_back_by_importing_its_factory(tmp_path, monkeypatch):
    name = f"users_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(USERS_OWN)
    monkeypatch.chdir(tmp_path)
    model = load_model(f"{name}:net", channels=6)
    smaller = trace(model, torch.zeros(1, 3, *SIZE)).pruned({"0": 4})
    save_checkpoint(smaller, "own.safetensors", input_size=SIZE)
    assert same_output(smaller, load_model("own.safetensors"))
    (tmp_path / f"{name}.py").unlink()
    monkeypatch.delitem(__import__("sys").modules, name)
    with pytest.raises(UserError, match=r"own\.safetensors: model .*: there is no module"):
        load_model("own.safetensors")


def test_moments_travel_with_the_weights(tmp_path):
    path = tmp_path / "net.safetensors"
    moments = {"conv0.0.weight/momentum_buffer": torch.rand(8, 3, 3, 3)}
    save_checkpoint(tiny(), path, moments=moments)
    assert torch.equal(load_moments(path)[next(iter(moments))], next(iter(moments.values())))
    assert same_output(tiny(), load_checkpoint(path))


def test_writing_the_same_network_twice_gives_the_same_bytes(tmp_path):
    for name in ("a", "b"):
        save_checkpoint(tiny(), tmp_path / f"{name}.safetensors", input_size=SIZE)
    assert (tmp_path / "a.safetensors").read_bytes() == (tmp_path / "b.safetensors").read_bytes()


@pytest.mark.parametrize("length", [0, 5, 100, -1])
def test_a_truncated_file_is_refused(saved, length):
    saved.write_bytes(saved.read_bytes()[:length])
    with pytest.raises(UserError, match="not a safetensors file, or is damaged") as caught:
        load_checkpoint(saved)
    assert "\n" not in str(caught.value)


def test_a_header_that_claims_to_be_huge_is_refused(saved):
    saved.write_bytes((2**60).to_bytes(8, "little") + saved.read_bytes()[8:])
    with pytest.raises(UserError, match="damaged"):
        load_checkpoint(saved)


def test_a_safetensors_file_of_others_is_refused(tmp_path):
    save_file({"x": torch.zeros(2)}, tmp_path / "x.safetensors")
    with pytest.raises(UserError, match="not a checkpoint of netadapt"):
        load_checkpoint(tmp_path / "x.safetensors")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.update(format=2), "of another version: format"),
        (lambda m: m.update(surprise=1), "surprise"),
        (lambda m: m.update(widths={"conv0.0": -3}), "widths.conv0.0"),
        (lambda m: m.update(widths={"conv99": 3}), "unknown channel group 'conv99'"),
        (lambda m: m.update(input_size=[64]), "input_size"),
        (lambda m: m.update(model="resnet"), "unknown model 'resnet'"),
        (lambda m: m.update(options={"widths": {"conv0.0": 10**12}}), "cannot have"),
        (lambda m: m.update(options={"alien": True}), "unexpected keyword argument 'alien'"),
        (lambda m: m.update(info={"x": "y" * 2**21}), "its metadata is"),
    ],
)
def test_metadata_that_makes_no_sense_is_refused(saved, change, message):
    rewritten(saved, change)
    with pytest.raises(UserError, match=message) as caught:
        load_checkpoint(saved)
    assert "\n" not in str(caught.value)
    assert str(saved) in str(caught.value)


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        (lambda t: {n: t[n] for n in list(t)[1:]}, "it lacks "),
        (lambda t: t | {"alien": torch.zeros(1)}, "has alien, which is not in it"),
        (
            lambda t: t | {"conv0.0.weight": torch.zeros(8, 3, 5, 5)},
            r"conv0.0.weight is \(8, 3, 5, 5\), expected \(8, 3, 3, 3\)",
        ),
    ],
)
def test_tensors_that_do_not_fit_are_refused(saved, tensors, message):
    rewritten(saved, tensors=tensors)
    with pytest.raises(UserError, match=message):
        load_checkpoint(saved)


def test_what_cannot_be_saved_is_said(tmp_path):
    path = tmp_path / "net.safetensors"
    with pytest.raises(UserError, match="has no record of how it was built"):
        save_checkpoint(nn.Conv2d(3, 1, 1), path)
    smaller = tiny()
    smaller.spec = replace(smaller.spec, widths={"conv13.3": 4})
    with pytest.raises(UserError, match="without its input size"):
        save_checkpoint(smaller, path)
    with pytest.raises(UserError, match=r"must be named \*\.safetensors"):
        save_checkpoint(tiny(), tmp_path / "net.pt")
    with pytest.raises(UserError, match="cannot save fastdepth: info"):
        save_checkpoint(tiny(), path, info={"x": [1]})  # type: ignore[dict-item]
    assert not path.exists()


def test_references_are_names_factories_or_files(saved):
    assert load_model("fastdepth-pruned").conv13[3].out_channels == 512
    assert same_output(load_model(str(saved)), load_model(saved))
    for ref, message in {
        "fastdpeth": "unknown model 'fastdpeth': no such file",
        "gone.safetensors": r"gone\.safetensors does not exist",
        "gone.pth.tar": r"gone\.pth\.tar does not exist",
        str(saved.parent): "is not a file",
    }.items():
        with pytest.raises(UserError, match=message):
            load_model(ref)
    with pytest.raises(UserError, match="takes no options, but got widths"):
        load_model(saved, widths="pruned")


def test_the_official_file_is_a_reference_too(tmp_path):
    torch.save({"state_dict": tiny().state_dict()}, tmp_path / "official.pth.tar")
    model = load_model(tmp_path / "official.pth.tar")
    save_checkpoint(model, tmp_path / "ours.safetensors")
    assert same_output(load_model(tmp_path / "ours.safetensors"), tiny())
