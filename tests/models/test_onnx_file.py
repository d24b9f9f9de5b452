"""Networks from ONNX files."""

import sys

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn

import netadapt
from netadapt.errors import UserError
from netadapt.training import load_model, save_checkpoint

pytest.importorskip("onnx2pytorch")


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A network with a residual, a depthwise convolution and a head, and its file."""

    class Small(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem = nn.Sequential(nn.Conv2d(3, 16, 3, 2, 1), nn.BatchNorm2d(16), nn.ReLU6())
            self.deep = nn.Conv2d(16, 16, 3, padding=1, groups=16)
            self.point = nn.Conv2d(16, 24, 1)
            self.side = nn.Conv2d(16, 24, 1)
            self.head = nn.Linear(24, 5)

        def forward(self, image):
            x = self.stem(image)
            x = (self.point(self.deep(x).relu()) + self.side(x)).relu()
            x = nn.functional.interpolate(x, scale_factor=2)
            return self.head(x.mean((2, 3)).flatten(1))

    torch.manual_seed(0)
    model = Small().eval()
    path = tmp_path_factory.mktemp("onnx") / "small.onnx"
    image = torch.rand(1, 3, 16, 16)
    netadapt.export(model, image, path)
    return model, image, path


def test_a_file_becomes_a_network_with_the_groups_of_the_one_it_was_made_from(small):
    model, image, path = small
    converted = load_model(path)
    assert converted.spec.input_size == (16, 16)
    with torch.no_grad():
        torch.testing.assert_close(converted(image), model(image), rtol=1e-4, atol=1e-5)
    ours = netadapt.trace(model, image)
    found = netadapt.trace(converted, image)
    assert sorted(found.widths.values()) == sorted(ours.widths.values()) == [16, 24]


def test_a_network_from_a_file_is_pruned_saved_and_exported_again(small, tmp_path):
    _, image, path = small
    prunable = netadapt.trace(load_model(path), image)
    widths = {name: width - 8 for name, width in prunable.widths.items()}
    pruned, masked = prunable.pruned(widths).eval(), prunable.masked(widths).eval()
    with torch.no_grad():
        torch.testing.assert_close(pruned(image), masked(image), rtol=1e-4, atol=1e-5)
    save_checkpoint(pruned, tmp_path / "pruned.safetensors")
    again = netadapt.load_checkpoint(tmp_path / "pruned.safetensors")
    netadapt.export(again, image, tmp_path / "again.onnx")
    smaller = load_model(tmp_path / "again.onnx")
    with torch.no_grad():
        torch.testing.assert_close(smaller(image), pruned(image), rtol=1e-4, atol=1e-5)
    assert sorted(netadapt.trace(smaller, image).widths.values()) == [8, 16]


def graph_with(*nodes, external: str | None = None) -> onnx.ModelProto:
    """A graph from ``x`` to ``y``."""
    weight = numpy_helper.from_array(np.ones((4, 3, 1, 1), np.float32), "w")
    if external is not None:
        weight.ClearField("raw_data")
        weight.data_location = TensorProto.EXTERNAL
        entry = weight.external_data.add()
        entry.key, entry.value = "location", external
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, channels, 8, 8])
        for name, channels in (("x", 3), ("y", 4))
    ]
    graph = helper.make_graph(nodes, "made-up", ends[:1], ends[1:], [weight])
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("my.own", 1)]
    )


def conv(given: str = "x", made: str = "y") -> onnx.NodeProto:
    return helper.make_node("Conv", [given, "w"], [made])


def foreign(kind: str, domain: str) -> onnx.NodeProto:
    """An operator that is none of ONNX."""
    return helper.make_node(kind, ["z"], ["y"], domain=domain)


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (graph_with(conv(), external="../outside.bin"), "names weights outside its folder"),
        (graph_with(conv(), external="/etc/passwd"), "names weights outside its folder"),
        (graph_with(conv(made="z"), foreign("Load", "my.own")), "it has the operator my.own.Load"),
        (graph_with(conv(given="nothing")), "is no sound ONNX file"),
        (graph_with(helper.make_node("QLinearConv", ["x"], ["y"])), "is quantised: it can be run"),
    ],
)
def test_a_file_that_cannot_be_taken_is_refused_in_one_line(model, message, tmp_path):
    (tmp_path / "model.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(UserError, match=message) as refused:
        load_model(tmp_path / "model.onnx")
    assert "\n" not in str(refused.value)


def test_noise_is_no_onnx_file(tmp_path):
    (tmp_path / "noise.onnx").write_bytes(np.random.default_rng(0).bytes(1000))
    with pytest.raises(UserError, match="is no sound ONNX file"):
        load_model(tmp_path / "noise.onnx")


def test_a_changed_file_is_not_taken_for_the_one_of_a_checkpoint(small, tmp_path):
    path = tmp_path / "copy.onnx"
    path.write_bytes(small[2].read_bytes())
    save_checkpoint(load_model(path), tmp_path / "whole.safetensors")
    path.write_bytes(graph_with(conv()).SerializeToString())
    with pytest.raises(UserError, match="is not the file that the checkpoint was made from"):
        netadapt.load_checkpoint(tmp_path / "whole.safetensors")


def test_a_missing_converter_is_one_line_with_its_remedy(small, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnx2pytorch", None)
    with pytest.raises(UserError, match=r"run: pip install 'netadapt\[onnx\]'"):
        load_model(small[2])
