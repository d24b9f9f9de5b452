"""The search knows a problem through its task alone."""

import json
from typing import Any

import pytest
import timm
import torch
import torch.nn.functional as F
from search_case import made_up_table
from torch.utils.data import TensorDataset

import netadapt
from netadapt.errors import UserError
from netadapt.report.run_pictures import plot_runs
from netadapt.training import DatasetTask, TrainSettings, fit, load_model, open_task
from netadapt.training.digits import open_digits

NETWORK = "timm.models:mobilenetv3_small_050"
OPTIONS: dict[str, Any] = {"in_chans": 1, "num_classes": 10}
QUICK = {
    "short_steps": 2,
    "long_steps": 4,
    "long_points": 1,
    "batch_size": 16,
    "initial_reduction": 0.15,
}


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """Arguments of a search for a small network that reads digits."""
    return reads_digits(tmp_path_factory.mktemp("digits"), "slim:Reader", steps=1, share=0.8)


def reads_digits(folder, name, steps, share, **options):
    """Train a network, write it and a table of it, and return the arguments of a search."""
    task = open_task("digits", None, (32, 32))
    torch.manual_seed(0)
    model = load_model(name, **options)
    fit(model, task, TrainSettings(steps=steps, batch_size=32, optimizer="adamw", lr=3e-3))
    netadapt.save_checkpoint(model.eval(), folder / "base.safetensors", input_size=(32, 32))
    table = made_up_table(folder, model, torch.rand(1, 1, 32, 32), attached=False)
    predictor = netadapt.LatencyPredictor(
        netadapt.trace(model, torch.rand(1, 1, 32, 32)), netadapt.LatencyTable.load(table)
    )
    return QUICK | {
        "checkpoint": folder / "base.safetensors",
        "lut": table,
        "budget_ms": share * predictor({}),
    }


@pytest.mark.slow
def test_a_timm_network_is_searched_for_digits(tmp_path):
    digits = reads_digits(tmp_path, NETWORK, steps=40, share=0.88, **OPTIONS)
    run = netadapt.search(**digits, task="digits", strategy="uniform", out=tmp_path / "run")
    front = run.front
    assert (front["predicted_ms"] <= digits["budget_ms"]).any()
    tuned = run.candidates[run.candidates["stage"] == "long"]
    assert tuned["accuracy_test"].between(0, 1).all()
    assert (tuned["accuracy_holdout"] > 0.15).all()
    model = netadapt.load_checkpoint(run.final)
    assert isinstance(model, timm.models.MobileNetV3)
    assert model(torch.rand(1, 1, 32, 32)).shape == (1, 10)
    facts = json.loads((run.folder / "run.json").read_text())
    assert (facts["score"], facts["higher_is_better"]) == ("accuracy", True)
    assert all(path.exists() for path in plot_runs([run.folder], None))


def test_a_lower_score_can_be_the_better_one(digits, tmp_path):
    run = netadapt.search(**digits, task="test_any_task:reconstruction", out=tmp_path / "run")
    rows = run.candidates
    for _, iteration in rows[rows["stage"] == "short"].groupby("iteration"):
        picked = iteration[iteration["selected"]].iloc[0]
        assert picked["error_holdout"] == iteration["error_holdout"].min()
    front = run.front.sort_values("predicted_ms")
    assert front["error_holdout"].is_monotonic_decreasing


def reconstruction(data, input_size):
    """The user's own: the first output is the mean brightness."""
    digits = open_digits(None, input_size)
    splits: list[Any] = []
    parts: Any = digits._splits.values()
    for split in parts:
        images = torch.stack([split[index][0] for index in range(48)])
        splits.append(TensorDataset(images, images.mean((1, 2, 3))))

    def error(outputs, targets):
        return (outputs[:, 0] - targets).abs()

    def loss(outputs, targets):
        return F.mse_loss(outputs[:, 0], targets)

    train, holdout, test = splits
    return DatasetTask(
        "brightness", train, holdout, test, loss, {"error": error}, higher_is_better=False
    )


def test_the_run_remembers_its_task(digits, tmp_path):
    out = tmp_path / "run"
    run = netadapt.search(**digits, task="digits", out=out)
    assert list(netadapt.search(out=out, resume=True).front["candidate"]) == list(
        run.front["candidate"]
    )
    with pytest.raises(UserError, match=r"the run in .* has task digits, not depth"):
        netadapt.search(out=out, resume=True, task="depth")


def test_metrics_of_another_task_are_refused(digits, tmp_path):
    with pytest.raises(UserError, match="unknown metric 'rmse'; known: accuracy, cross_entropy"):
        netadapt.search(**digits, task="digits", metrics=("rmse",), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
