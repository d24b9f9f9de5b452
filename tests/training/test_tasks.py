"""Problems other than depth, and how they are opened."""

from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import TensorDataset

from netadapt.errors import UserError
from netadapt.training import DatasetTask, TrainSettings, fit, open_task
from netadapt.training.digits import open_digits


def classifier() -> nn.Module:
    torch.manual_seed(0)
    features = nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.ReLU())
    return nn.Sequential(*features, nn.AdaptiveAvgPool2d(4), nn.Flatten(), nn.Linear(128, 10))


def line_task(**options) -> DatasetTask:
    """Targets are the mean of the input."""
    inputs = torch.arange(12.0).reshape(12, 1, 1, 1) / 12 + torch.zeros(12, 1, 4, 4)
    split = TensorDataset(inputs, inputs.mean((1, 2, 3)))
    off = {"error": lambda outputs, targets: (outputs - targets).abs()}
    return DatasetTask("line", split, split, split, F.mse_loss, off, **options)


def mean_model(scale: float) -> nn.Module:
    class Mean(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.scale = nn.Parameter(torch.tensor(scale))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x.mean((1, 2, 3)) * self.scale

    return Mean()


def test_digits_are_split_once_and_for_all_without_overlap():
    task = open_digits(None, (8, 8))
    assert task.input_shape == (1, 8, 8)
    parts: Any = task._splits.values()
    splits = [[image.numpy().tobytes() for image, _ in split] for split in parts]
    train, holdout, test = (set(split) for split in splits)
    assert sum(map(len, splits)) == 1797
    assert not train & holdout
    assert not train & test
    assert not holdout & test


def test_digits_scores_are_those_of_scikit_learn():
    from sklearn.metrics import accuracy_score, log_loss

    task, model = open_digits(None, (8, 8)), classifier().eval()
    test: Any = task._splits["test"]
    images, labels = (torch.stack(list(part)) for part in zip(*test, strict=True))
    with torch.no_grad():
        shares = model(images).double().softmax(1).numpy()
    scores = task.score(model, "test")
    assert scores["accuracy"] == pytest.approx(accuracy_score(labels, shares.argmax(1)))
    assert scores["cross_entropy"] == pytest.approx(log_loss(labels, shares), rel=1e-5)


def test_digits_can_be_learnt():
    task, model = open_task("digits", None, (16, 16)), classifier()
    before = task.score(model, "holdout")["accuracy"]
    fit(model, task, TrainSettings(steps=60, batch_size=64, optimizer="adamw", lr=0.02))
    assert task.score(model, "holdout")["accuracy"] > before + 0.2


def test_batches_depend_on_their_number_and_seed_alone():
    task = open_digits(None, (8, 8))
    first = task.train_batch(30, 50, 1)  # lies in two epochs
    task.train_batch(0, 50, 2)
    again = task.train_batch(30, 50, 1)
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[0], task.train_batch(30, 50, 2)[0])


def test_augmentation_moves_a_digit_by_up_to_an_eighth():
    from netadapt.training.digits import _shifted

    image = torch.zeros(1, 16, 16)
    image[0, 8, 8] = 1
    places = set()
    for seed in range(200):
        moved = _shifted(image, np.random.default_rng(seed))
        assert moved.shape == image.shape
        assert float(moved.sum()) == 1
        places.add(divmod(int(moved.argmax()), 16))
    assert places == {(y, x) for y in range(6, 11) for x in range(6, 11)}


def test_a_score_is_the_mean_over_examples_whatever_the_batches(monkeypatch):
    task = line_task(higher_is_better=False)
    expected = float(np.mean(np.arange(12) / 12))
    for batch in (1, 5, 64):
        monkeypatch.setattr("netadapt.training.dataset_task.EVALUATION_BATCH", batch)
        assert task.score(mean_model(2.0), "test") == {"error": pytest.approx(expected, rel=1e-6)}
    assert task.primary == "error"
    assert task.better(0.1, than=0.2)


@pytest.mark.filterwarnings("ignore:Using a target size")
@pytest.mark.parametrize(
    ("task", "model", "words"),
    [
        ("line", nn.Conv2d(1, 2, 1), "score error of 1 examples is (1, 2, 4, 4); return one value"),
        ("line", nn.Conv2d(3, 2, 1), "does not run on an input of shape (1, 1, 4, 4)"),
        ("digits", nn.Conv2d(1, 2, 1), "Conv2d returns (1, 2, 32, 32), from which task digits"),
    ],
)
def test_a_network_that_does_not_fit_the_task_is_refused(task, model, words):
    with pytest.raises(UserError) as caught:
        (line_task() if task == "line" else open_task(task, None, None)).check(model)
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("name", "data", "size", "options", "words"),
    [
        ("nothing", None, None, None, "unknown task 'nothing'; known: depth, "),
        ("depth", None, (32, 32), None, "--data"),
        ("depth", "synthetic:9", None, None, "--input-size"),
        ("digits", "pairs:x", None, None, "leave out --data"),
        ("digits", None, None, {"loss": "l1"}, "no option 'loss'; its options: truth_size"),
        ("depth", "synthetic:9", None, {"los": "l1"}, "its options: loss, protocol, on_bad_sample"),
        ("json:loads", None, None, None, "task json:loads cannot be built with options"),
        ("json:nothing", None, None, None, "module 'json' has no 'nothing'"),
        ("test_tasks:no_task", None, None, None, "returned dict; a factory returns a netadapt"),
    ],
)
def test_a_task_that_cannot_be_opened_is_named_with_the_reason(name, data, size, options, words):
    with pytest.raises(UserError) as caught:
        open_task(name, data, size, options)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def no_task(data, input_size):
    return {"data": data, "input_size": input_size}


def test_a_protocol_is_of_depth_alone():
    with pytest.raises(UserError, match="task digits has no option 'protocol'"):
        open_task("digits", None, None, {"protocol": "eigen-nyu"})
    with pytest.raises(UserError, match="unknown protocol 'x'"):
        open_task("depth", "pairs:missing", (32, 32), {"protocol": "x"})


def test_an_empty_split_is_refused():
    full = TensorDataset(torch.zeros(2, 1, 4, 4), torch.zeros(2))
    with pytest.raises(UserError, match="the holdout split is empty"):
        DatasetTask("x", full, TensorDataset(torch.zeros(0)), full, F.mse_loss, {"e": F.mse_loss})
