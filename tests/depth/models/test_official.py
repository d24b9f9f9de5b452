import pytest
import torch

from netadapt.depth.models import FastDepth, load_official
from netadapt.errors import UserError

WIDTHS = ([8] * 13 + [16], [24, 8, 8, 8, 8])


@pytest.fixture
def model():
    torch.manual_seed(0)
    return FastDepth(WIDTHS).eval()


@pytest.mark.parametrize(
    "wrapped",
    [
        lambda state: state,
        lambda state: {"epoch": 3, "best_prec1": 0.7, "state_dict": state},
        lambda state: {"state_dict": {f"module.{name}": value for name, value in state.items()}},
    ],
)
@pytest.mark.parametrize("zipped", [True, False])
def test_a_state_dict_gives_the_network_it_was_taken_from(model, tmp_path, wrapped, zipped):
    path = tmp_path / "mobilenet-nnconv5dw-skipadd-pruned.pth.tar"
    torch.save(wrapped(model.state_dict()), path, _use_new_zipfile_serialization=zipped)
    loaded = load_official(path)
    image = torch.rand(1, 3, 64, 64)
    assert torch.equal(loaded(image), model(image))
    assert loaded.spec.input_size == (224, 224)


def test_a_pickled_network_is_refused_with_the_way_to_convert_it(model, tmp_path):
    path = tmp_path / "skipadd.pth.tar"
    torch.save({"epoch": 3, "model": model}, path)
    with pytest.raises(
        UserError, match="loading it could run code in it; only if you trust"
    ) as caught:
        load_official(path)
    command = str(caught.value).split('python -c "')[1].rstrip('"')
    plain = command.replace("map_location='cpu'", "map_location='cpu', weights_only=False")
    exec(plain.replace("'skipadd", f"'{tmp_path}/skipadd"))  # what the message tells to run
    assert torch.equal(load_official(tmp_path / "skipadd.state.pth").conv0[0].weight,
                       model.conv0[0].weight)  # fmt: skip


def test_files_that_are_not_fastdepth_are_refused(model, tmp_path):
    path = tmp_path / "x.pth.tar"
    with pytest.raises(UserError, match="does not exist"):
        load_official(path)
    path.write_bytes(b"\x80\x02 not a checkpoint")
    with pytest.raises(UserError, match=r"x\.pth\.tar"):
        load_official(path)
    torch.save([1, 2], path)
    with pytest.raises(UserError, match="holds no state dict"):
        load_official(path)
    state = model.state_dict()
    torch.save({name: state[name] for name in list(state)[5:]}, path)
    with pytest.raises(UserError, match=r"has no 'conv0\.0\.weight'"):
        load_official(path)
    torch.save(state | {"conv7.0.weight": torch.zeros(8, 1, 5, 5)}, path)
    with pytest.raises(UserError, match=r"not a FastDepth checkpoint: .*conv7\.0\.weight"):
        load_official(path)
    torch.save(state, path)
    path.write_bytes(path.read_bytes()[:-400])
    with pytest.raises(UserError, match="damaged"):
        load_official(path)


@pytest.mark.parametrize("content", [b"nonsense", b"\x80\x02nonsense", b""])
def test_a_damaged_file_is_not_called_a_pickle_and_no_code_is_advised(tmp_path, content):
    path = tmp_path / "damaged.pth"
    path.write_bytes(content)
    with pytest.raises(UserError, match="is not a torch checkpoint, or is damaged") as caught:
        load_official(path)
    assert "python -c" not in str(caught.value)


def test_the_advice_to_convert_a_pickled_network_says_that_it_runs_code(tmp_path):
    path = tmp_path / "whole.pth"
    torch.save({"model": torch.nn.Conv2d(1, 1, 1)}, path)
    with pytest.raises(UserError, match="only if you trust whoever made it, convert it"):
        load_official(path)
