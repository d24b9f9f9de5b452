"""A search of a network with several inputs, through the command line and back."""

import pytest
from search_case import made_up_table
from several_inputs import INPUTS

import netadapt
from netadapt.errors import UserError
from netadapt.training import load_model, save_checkpoint
from netadapt.training.trial import remember_inputs, with_example_input


def test_a_network_of_several_inputs_is_searched(tmp_path):
    model, example = with_example_input(load_model("several_inputs:Stereo"), inputs=INPUTS)
    table = made_up_table(tmp_path, model, example, attached=False)
    predictor = netadapt.LatencyPredictor(
        netadapt.trace(model, example), netadapt.LatencyTable.load(table)
    )
    run = netadapt.search(
        "several_inputs:Stereo",
        inputs=INPUTS,
        task="several_inputs:stereo_task",
        lut=table,
        budget_ms=0.8 * predictor({}),
        out=tmp_path / "run",
        short_steps=1,
        long_steps=1,
        long_points=1,
        batch_size=2,
        initial_reduction=0.15,
        strategy="netadapt-fast",
        saliency_batches=1,
    )
    assert (run.front["predicted_ms"] <= 0.8 * predictor({})).any()
    final, _ = with_example_input(netadapt.load_checkpoint(run.final))
    assert set(final.spec.inputs) == set(INPUTS)
    scores = netadapt.evaluate(final, task="several_inputs:stereo_task")
    tuned = run.candidates[run.candidates["stage"] == "long"]["error_test"]
    assert any(scores["error"] == pytest.approx(known, rel=1e-4) for known in tuned)
    remember_inputs(final, ())
    with pytest.raises(UserError, match="without its input size"):
        save_checkpoint(final, tmp_path / "blind.safetensors")
