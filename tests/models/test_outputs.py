"""Networks that answer with several maps, of which one counts."""

from collections import OrderedDict, namedtuple
from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn

import netadapt
from netadapt.errors import UserError
from netadapt.models import with_output
from netadapt.training import load_model, save_checkpoint
from netadapt.training.trial import with_example_input


@dataclass
class Answer:
    loss: Tensor | None
    predicted_depth: Tensor


class ModelOutput(OrderedDict):
    """As that of Hugging Face: a mapping with fields."""

    def __getattr__(self, name: str) -> Tensor:
        return self[name]


Pair = namedtuple("Pair", "first second")
KINDS = {
    "dataclass": (lambda a, b: Answer(None, a), "predicted_depth"),
    "mapping": (lambda a, b: ModelOutput(predicted_depth=a), "predicted_depth"),
    "dictionary of lists": (lambda a, b: {"maps": [b, a], ("disp", 0): b}, "maps.1"),
    "tuple": (lambda a, b: (b, a), "1"),
    "named tuple": (lambda a, b: Pair(a, b), "first"),
    "number as key": (lambda a, b: {0: a, 1: b}, "0"),
}


class Maps(nn.Module):
    """Two maps, in a container of a kind."""

    def __init__(self, kind: str = "dataclass") -> None:
        super().__init__()
        self.body = nn.Conv2d(3, 16, 3, padding=1)
        self.depth, self.side = nn.Conv2d(16, 1, 1), nn.Conv2d(16, 2, 1)
        self.kind = kind

    def forward(self, image: Tensor) -> object:
        body = self.body(image).relu()
        return KINDS[self.kind][0](self.depth(body), self.side(body))


@pytest.mark.parametrize("kind", KINDS)
def test_a_map_is_picked_by_name_and_pruned_exactly(kind, tmp_path):
    model = load_model("test_outputs:Maps", kind=kind, output=KINDS[kind][1]).eval()
    image = torch.rand(1, 3, 8, 8)
    with torch.no_grad():
        assert torch.equal(model(image), model.depth(model.body(image).relu()))
    assert isinstance(model, Maps)
    assert [name for name, _ in model.named_children()] == ["body", "depth", "side"]
    prunable = netadapt.trace(model, image)
    pruned, masked = prunable.pruned({"body": 5}), prunable.masked({"body": 5})
    with torch.no_grad():
        assert torch.allclose(pruned(image), masked(image), atol=1e-6)
    save_checkpoint(pruned, tmp_path / "small.safetensors", input_size=(8, 8))
    again = netadapt.load_checkpoint(tmp_path / "small.safetensors")
    assert again.spec.output == KINDS[kind][1]
    with torch.no_grad():
        assert torch.equal(again(image), pruned.eval()(image))


def test_a_picked_map_is_exported(tmp_path):
    model = with_output(Maps(), "predicted_depth").eval()
    netadapt.export(model, torch.rand(1, 3, 8, 8), tmp_path / "depth.onnx")
    image = torch.rand(1, 3, 8, 8)
    with torch.no_grad():
        got = netadapt.load_model(tmp_path / "depth.onnx", deployed=True)(image)
        assert torch.allclose(got, model(image), atol=1e-5)


def test_another_map_can_be_picked_later():
    model = with_output(with_output(Maps("tuple"), "1"), "0")
    assert model(torch.rand(1, 3, 8, 8)).shape == (1, 2, 8, 8)


@pytest.mark.parametrize(
    ("kind", "output", "message"),
    [
        (
            "dataclass",
            "depth",
            "Maps does not answer with 'depth'; it answers with loss, predicted",
        ),
        ("dataclass", "loss", "loss: it is a NoneType and no tensor"),
        ("tuple", "2", "does not answer with '2'; it answers with 0, 1"),
        ("dictionary of lists", "maps", "a list and no tensor; name one of maps.0, maps.1"),
        ("tuple", "1.weight", "it answers with a Tensor alone"),
        ("tuple", "__class__", "is not a field, a key or a place"),
        ("tuple", "", "is not a field, a key or a place"),
    ],
)
def test_what_is_no_map_is_named(kind, output, message):
    with pytest.raises(UserError, match=message):
        with_example_input(with_output(Maps(kind), output), (8, 8))
