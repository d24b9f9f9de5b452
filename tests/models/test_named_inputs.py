"""Networks of several inputs, of dictionaries, and of other ranks than images'."""

import io
from typing import Any

import numpy as np
import pytest
import torch
from several_inputs import INPUTS, Stereo, Volume, Wave

import netadapt
from netadapt.deployment.deployed import load_deployed
from netadapt.errors import UserError
from netadapt.models.inputs import named_example
from netadapt.profiling.agent.openvino import OpenVinoSession
from netadapt.profiling.devices import load_device
from netadapt.profiling.runtimes import load_runtime
from netadapt.profiling.runtimes.loaders import loader_for
from netadapt.profiling.shared_weights import input_file
from netadapt.pruning.examples import arrays, input_options, run
from netadapt.training import load_model, save_checkpoint
from netadapt.training.trial import remember_inputs, with_example_input


def test_an_option_names_an_argument_or_a_key_in_it():
    example = named_example(INPUTS, Stereo())
    assert example["left"].shape == (1, 3, 8, 8)
    assert example["more"]["mask"].shape == (1, 1, 8, 8)
    assert input_options(Stereo(), example) == ("right=1x3x8x8", "left=1x3x8x8", INPUTS[2])
    assert not torch.equal(example["left"], example["right"])


def test_a_batch_goes_to_all_inputs_that_have_one():
    example = named_example(("left=1x3x8x8", "table=10x4"), Stereo(), batch=3)
    assert [tensor.shape[0] for tensor in example.values()] == [3, 10]


def test_whole_numbers_are_ones():
    example = named_example(("tokens=2x5:int64", "mask=2x5:bool"), Stereo())
    assert example["tokens"].dtype == torch.int64
    assert bool(example["mask"].all())


@pytest.mark.parametrize(
    ("network", "option"), [(Wave(), "wave=1x1x16"), (Volume(), "volume=1x1x8x8x8")]
)
def test_an_only_input_of_any_rank_is_pruned_exactly(network, option):
    model, example = with_example_input(network, inputs=(option,))
    prunable = netadapt.trace(model, example)
    widths = {name: width // 2 for name, width in prunable.widths.items()}
    assert len(widths) == 2
    with torch.no_grad():
        got, wanted = prunable.pruned(widths)(example), prunable.masked(widths)(example)
    assert torch.allclose(got, wanted, atol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("left",), "is not NAME=SIZES"),
        (("left=3x",), "is not NAME=SIZES"),
        (("left=1x3:float",), "unknown type 'float'; known: float32"),
        (("left=0x3",), "holds no number"),
        (("left=999999x999999",), "more than"),
        (("left=1x3", "left=1x3"), "left is given twice"),
        (("left=1x3", "left.a=1x3"), "left is a tensor and a dictionary"),
        (("wrong=1x3x8x8",), "does not run on an input of shape"),
    ],
)
def test_what_is_no_input_is_named(options, message):
    with pytest.raises(UserError, match=message):
        with_example_input(Stereo(), inputs=options)


@pytest.fixture(scope="module")
def stereo():
    """The network by its name, traced."""
    model = load_model("several_inputs:Stereo").eval()
    remember_inputs(model, INPUTS)
    return netadapt.trace(*with_example_input(model))


def test_a_checkpoint_remembers_the_inputs(stereo, tmp_path):
    pruned = stereo.pruned({"left": 10, "middle.0": 7})
    save_checkpoint(pruned, tmp_path / "small.safetensors")
    again = netadapt.load_checkpoint(tmp_path / "small.safetensors")
    model, example = with_example_input(again)
    assert set(model.spec.inputs) == set(INPUTS)
    with torch.no_grad():
        assert torch.equal(run(model, example), run(pruned.eval(), example))


def test_a_checkpoint_of_an_image_says_nothing_of_inputs(tmp_path):
    model = load_model("fastdepth")
    save_checkpoint(model, tmp_path / "image.safetensors", input_size=(32, 32))
    assert b"inputs" not in (tmp_path / "image.safetensors").read_bytes()[:5000]


def test_a_file_takes_the_inputs_by_name(stereo, tmp_path):
    pruned = stereo.pruned({"left": 10})
    netadapt.export(pruned, stereo.example, tmp_path / "stereo.onnx")
    deployed = load_deployed(tmp_path / "stereo.onnx")
    example = named_example(INPUTS, Stereo(), batch=3, seed=1)
    with torch.no_grad():
        wanted = run(pruned, example)
        assert torch.allclose(run(deployed, example), wanted, atol=1e-5)
        turned = {"left": example["right"], "right": example["left"], "more": example["more"]}
        assert not torch.allclose(run(deployed, turned), wanted, atol=1e-3)
    with pytest.raises(UserError, match="takes the inputs"):
        run(deployed, {"left": example["left"]})
    flat = with_example_input(deployed)[1]
    session = OpenVinoSession(str(tmp_path / "stereo.onnx"), list(arrays(flat)), 1)
    assert np.allclose(session.output(), run(deployed, flat).numpy(), atol=1e-4)


def test_a_runtime_is_given_the_inputs_in_the_order_of_the_graph(stereo):
    here = load_device("cpu").target(load_runtime("onnxruntime"))
    loader = loader_for(stereo.model, stereo.example, here)
    pruned = stereo.pruned({"left": 9})
    with torch.no_grad():
        wanted = run(pruned, stereo.example).numpy()
    session: Any = loader.session(pruned)
    assert np.allclose(session.output(), wanted, atol=1e-5)


def test_a_board_reads_several_inputs_in_order(stereo):
    given = arrays(stereo.example)
    loaded = np.load(io.BytesIO(input_file(given)), allow_pickle=False)
    for name, array in zip(sorted(loaded), given, strict=True):
        assert np.array_equal(loaded[name], array)
