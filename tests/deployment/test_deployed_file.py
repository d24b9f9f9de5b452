"""The file that is deployed answers as the network, in the precision it says."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from lacking import needs_int8_instructions
from onnx import TensorProto, numpy_helper
from tiny_network import tiny
from torch import Tensor, nn

import netadapt
from netadapt.deployment.api import Exported
from netadapt.deployment.deployed import DeployedNetwork
from netadapt.errors import UserError
from netadapt.training import load_model


def answer(path: Path, image: Tensor) -> np.ndarray:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    (output,) = session.run(None, {given.name: image.numpy()})
    return np.asarray(output)


@pytest.fixture(scope="module")
def frames() -> Tensor:
    return torch.rand((6, 3, 64, 64), generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def int8(tmp_path_factory: pytest.TempPathFactory, frames: Tensor) -> Exported:
    model, image = tiny()
    path = tmp_path_factory.mktemp("int8") / "tiny.onnx"
    return netadapt.export(model, image, path, precision="int8", calibration=frames)


def test_an_exported_network_answers_as_the_network(tmp_path: Path) -> None:
    model, image = tiny()
    model.train()
    path = tmp_path / "new" / "tiny.onnx"
    made = netadapt.export(model, image, path)
    assert model.training
    onnx.checker.check_model(str(path), full_check=True)
    assert [file.name for file in path.parent.iterdir()] == ["tiny.onnx"]
    assert made.size_bytes == path.stat().st_size
    assert made.moved_layers == 1
    with torch.no_grad():
        wanted = model.eval()(image).numpy()
    np.testing.assert_allclose(answer(path, image), wanted, rtol=1e-4, atol=1e-4)


def test_a_graph_can_be_exported_as_the_network_has_it(tmp_path: Path) -> None:
    model, image = tiny()
    netadapt.export(model, image, tmp_path / "moved.onnx")
    made = netadapt.export(model, image, tmp_path / "plain.onnx", rewrite=False)
    assert made.moved_layers == 0
    np.testing.assert_allclose(
        answer(tmp_path / "plain.onnx", image), answer(tmp_path / "moved.onnx", image), rtol=1e-5
    )


class Undecided(nn.Module):
    """What it does depends on what it sees, which no graph can hold."""

    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


def test_a_network_that_cannot_be_exported_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot export Undecided to ONNX") as caught:
        netadapt.export(Undecided(), torch.rand(1, 3), tmp_path / "undecided.onnx")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_int8_answers_nearly_as_the_network_from_a_third_of_the_bytes(
    int8: Exported, frames: Tensor
) -> None:
    needs_int8_instructions()
    model, _ = tiny()
    with torch.no_grad():
        wanted = model(frames)
        got = load_model(int8.path, deployed=True)(frames)
    difference = float((got - wanted).abs().mean() / wanted.abs().mean())
    assert 0 < difference < 0.05
    assert int8.precision_error == pytest.approx(difference, rel=0.05)
    weights = sum(p.numel() for p in model.parameters())
    assert int8.size_bytes < int8.fp32_bytes - 2 * weights


def test_int8_weights_have_a_scale_per_channel_and_the_head_stays_float(int8: Exported) -> None:
    graph = onnx.load(str(int8.path)).graph
    kept = {tensor.name: tensor for tensor in graph.initializer}
    weights = [t for t in kept.values() if len(t.dims) == 4]
    assert {t.data_type for t in weights if t.dims[0] > 1} == {TensorProto.INT8}
    (head,) = (t for t in weights if t.dims[0] == 1)
    assert head.data_type == TensorProto.FLOAT
    for node in graph.node:
        weight = kept.get(node.input[0])
        if node.op_type == "DequantizeLinear" and weight is not None and len(weight.dims) == 4:
            assert kept[node.input[1]].dims[0] == weight.dims[0]
    zero_points = [
        numpy_helper.to_array(kept[node.input[2]])
        for node in graph.node
        if node.op_type == "QuantizeLinear"
    ]
    assert {point.dtype for point in zero_points} == {np.dtype("uint8")}


def test_fp16_is_half_the_size_and_still_reads_and_answers_float32(tmp_path: Path) -> None:
    model, image = tiny()
    made = netadapt.export(model, image, tmp_path / "half.onnx", precision="fp16")
    assert made.size_bytes < 0.75 * made.fp32_bytes
    got = answer(made.path, image)
    assert got.dtype == np.float32
    with torch.no_grad():
        np.testing.assert_allclose(got, model(image).numpy(), atol=0.02)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"precision": "int8"}, "give --calibration-data"),
        ({"precision": "bf16"}, "export fp32 and run that file with"),
        ({"precision": "int4"}, "unknown --precision 'int4' of a file; known: fp32, fp16, int8"),
        (
            {"precision": "int8", "calibration": torch.rand(2, 3, 32, 32)},
            "calibration inputs have shape (3, 32, 32), the network takes (3, 64, 64)",
        ),
    ],
)
def test_what_cannot_be_exported_is_refused(
    tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    model, image = tiny()
    with pytest.raises(UserError) as caught:
        netadapt.export(model, image, tmp_path / "new.onnx", **options)
    assert message in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_deployed_network_takes_any_number_of_images(int8: Exported, frames: Tensor) -> None:
    deployed = load_model(int8.path, deployed=True)
    assert isinstance(deployed, DeployedNetwork)
    assert deployed.precision == "int8"
    together = deployed(frames)
    assert together.shape == (6, 1, 64, 64)
    torch.testing.assert_close(together[4:5], deployed(frames[4:5]), rtol=0, atol=0)


def test_a_file_with_a_batch_of_its_own_answers_as_one_without(tmp_path: Path) -> None:
    model, image = tiny()
    netadapt.export(model, image.expand(4, -1, -1, -1).contiguous(), tmp_path / "four.onnx")
    images = torch.rand(5, 3, 64, 64)
    with torch.no_grad():
        wanted = model(images)
    torch.testing.assert_close(load_model(tmp_path / "four.onnx", deployed=True)(images), wanted)


def test_a_deployed_network_is_neither_trained_nor_pruned(int8: Exported, tmp_path: Path) -> None:
    deployed = load_model(int8.path, deployed=True)
    with pytest.raises(UserError, match="neither trained nor pruned"):
        deployed.train()
    with pytest.raises(UserError, match="neither trained nor pruned"):
        netadapt.trace(deployed, torch.rand(1, 3, 64, 64))
    with pytest.raises(UserError, match="neither trained nor pruned"):
        netadapt.save_checkpoint(deployed, tmp_path / "new.safetensors")
    with pytest.raises(UserError, match="exported for inputs of 3x64x64, not 3x32x32"):
        deployed(torch.rand(1, 3, 32, 32))


@pytest.mark.parametrize("content", [b"", b"no graph", bytes(100)])
def test_a_damaged_file_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "damaged.onnx"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"damaged.onnx") as caught:
        load_model(path, deployed=True)
    assert "\n" not in str(caught.value)
