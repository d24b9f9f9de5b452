import pytest
from torch import nn

from netadapt.errors import UserError
from netadapt.models import ModelSpec, build

USERS_OWN = """
from torch import nn

class Net(nn.Sequential):
    def __init__(self, channels=4):
        super().__init__(nn.Conv2d(3, channels, 3))

class Own(nn.Module):
    spec = "mine"

def text():
    return "no network"

number = 3
"""


@pytest.fixture
def users_module(tmp_path, monkeypatch):
    """A module in the current folder, which is not on the path."""
    name = f"users_{tmp_path.name}"
    (tmp_path / f"{name}.py").write_text(USERS_OWN)
    (tmp_path / f"{name}_broken.py").write_text("raise ValueError('one\\ntwo')")
    (tmp_path / f"{name}_needs.py").write_text("import not_installed_anywhere")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return name


def test_names_build_fastdepth():
    full, pruned = build("fastdepth"), build("fastdepth-pruned")
    assert full.spec == ModelSpec("fastdepth")
    assert pruned.conv13[3].out_channels == 512


def test_a_spec_builds_the_same_network_again():
    for model in (build("fastdepth-pruned"), build("fastdepth", widths={"conv0.0": 24})):
        again = build(model.spec.name, **model.spec.options)
        shapes = {name: tensor.shape for name, tensor in model.state_dict().items()}
        assert shapes == {name: tensor.shape for name, tensor in again.state_dict().items()}


def test_a_factory_of_the_user_is_built_with_its_options(users_module):
    model = build(f"{users_module}:Net", channels=7)
    assert isinstance(model, nn.Sequential)
    assert model[0].out_channels == 7
    assert model.spec == ModelSpec(f"{users_module}:Net", {"channels": 7})


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("resnet", "unknown model 'resnet'; known: fastdepth, fastdepth-pruned"),
        ("absent_package:net", "no module 'absent_package'; run where"),
        ("{}:Missing", "has no 'Missing'"),
        ("{}:number", "'number' of .* cannot be called"),
        ("{}:text", "returned str; a factory returns a torch.nn.Module"),
        ("{}:Own", "has an attribute 'spec' of its own"),
        ("{}_broken:net", "importing .* failed: ValueError: one$"),
        ("{}_needs:net", "no module 'not_installed_anywhere' .imported by"),
        (":net", "not of the form package.module:factory"),
        ("os:path.join", "not of the form package.module:factory"),
    ],
)
def test_what_cannot_be_built_is_said_in_one_line(users_module, name, message):
    with pytest.raises(UserError, match=message) as caught:
        build(name.format(users_module))
    assert "\n" not in str(caught.value)


def test_an_option_the_builder_does_not_take_is_refused(users_module):
    with pytest.raises(UserError, match="unexpected keyword argument 'depth'"):
        build(f"{users_module}:Net", depth=3)
