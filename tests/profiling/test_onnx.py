from dataclasses import replace

import numpy as np
import onnxruntime
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch import Tensor

from netadapt.errors import UserError
from netadapt.profiling.agent.session import operation_of
from netadapt.profiling.onnx_model import OnnxTemplate
from netadapt.profiling.traced import TracedNetwork
from netadapt.pruning import PrunableModel


def answer(model: bytes | str, image: Tensor) -> NDArray[np.float32]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    (given,) = session.get_inputs()
    (output,) = session.run(None, {given.name: image.numpy()})
    return np.asarray(output)


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
