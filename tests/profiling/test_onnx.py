from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tiny_network import tiny
from torch import Tensor, nn

from netadapt.errors import UserError
from netadapt.profiling.agent.session import operation_of
from netadapt.profiling.onnx_model import OnnxTemplate, export_onnx
from netadapt.profiling.traced import TracedNetwork
from netadapt.pruning import PrunableModel


def answer(model: bytes | str, image: Tensor) -> NDArray[np.float32]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    (output,) = session.run(None, {given.name: image.numpy()})
    return np.asarray(output)


def test_an_exported_network_answers_as_the_network(tmp_path: Path) -> None:
    model, image = tiny()
    model.train()
    path = tmp_path / "new" / "tiny.onnx"
    export_onnx(model, image, path)
    assert model.training
    onnx.checker.check_model(str(path), full_check=True)
    assert [file.name for file in path.parent.iterdir()] == ["tiny.onnx"]
    with torch.no_grad():
        wanted = model.eval()(image).numpy()
    np.testing.assert_allclose(answer(str(path), image), wanted, rtol=1e-4, atol=1e-4)


class Undecided(nn.Module):
    """What it does depends on what it sees, which no graph can hold."""

    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


def test_a_network_that_cannot_be_exported_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot export Undecided to ONNX") as caught:
        export_onnx(Undecided(), torch.rand(1, 3), tmp_path / "undecided.onnx")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@settings(max_examples=8, deadline=None)
@given(data=st.data())
def test_a_filled_template_answers_as_the_pruned_network(
    thin: PrunableModel, template: OnnxTemplate, data: st.DataObject
) -> None:
    widths = {name: data.draw(st.integers(1, full)) for name, full in thin.widths.items()}
    pruned = thin.pruned(widths)
    with torch.no_grad():
        wanted = pruned(thin.example_input).numpy()
    got = answer(template.filled(pruned).SerializeToString(), thin.example_input)
    assert np.abs(wanted).max() > 0
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-4)


def test_a_template_can_be_filled_with_the_whole_network_again(
    thin: PrunableModel, template: OnnxTemplate
) -> None:
    template.filled(thin.pruned(dict.fromkeys(thin.groups, 1)))
    with torch.no_grad():
        wanted = thin.model(thin.example_input).numpy()
    got = answer(template.filled(thin.model).SerializeToString(), thin.example_input)
    np.testing.assert_allclose(got, wanted, rtol=1e-4, atol=1e-4)


def test_every_operation_has_a_node_that_bears_its_number(
    thin: PrunableModel, template: OnnxTemplate
) -> None:
    names = [node.name for node in template.filled(thin.model).graph.node]
    numbers = [operation_of(name) for name in names]
    assert {n for n in numbers if n is not None} == set(range(len(thin.operations.operations)))


def test_an_operation_without_a_node_is_refused(small: PrunableModel) -> None:
    network = TracedNetwork.of(small)
    with pytest.raises(UserError, match=r"in onnxruntime: .*use --runtime torch"):
        OnnxTemplate(replace(network, operations=(*network.operations, network.operations[-1])))
    with pytest.raises(UserError, match=r"cannot time Conv .*use --runtime torch"):
        OnnxTemplate(replace(network, operations=network.operations[:-1]))
