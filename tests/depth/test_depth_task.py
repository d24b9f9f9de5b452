from typing import Any

import numpy as np
import pytest
import torch
from fake_depth import SIZE, FakeDataset, fake_task, tiny
from torch import nn

from netadapt.depth import DepthTask, open_depth
from netadapt.depth.data import DepthData
from netadapt.depth.metrics import METRICS
from netadapt.errors import UserError


class Remembering(FakeDataset):
    """Notes what it was asked for."""

    def __init__(self, length):
        super().__init__(length, 0)
        self.asked = []

    def training_example(self, index, rng):
        self.asked.append(index)
        return super().training_example(index, rng)


def remembering(length):
    train: Any = Remembering(length)
    return DepthTask(DepthData("fake", SIZE, train, train, train)), train


def test_a_batch_is_a_function_of_draw_and_seed():
    inputs, targets = fake_task().train_batch(5, 4, seed=3)
    assert inputs.shape == (4, 3, *SIZE)
    assert targets.shape == (4, 1, *SIZE)
    other = fake_task()
    other.train_batch(0, 4, seed=3)
    again = other.train_batch(5, 4, seed=3)
    assert torch.equal(again[0], inputs)
    assert torch.equal(again[1], targets)
    assert not torch.equal(other.train_batch(5, 4, seed=4)[0], inputs)
    assert not torch.equal(other.train_batch(6, 4, seed=3)[0], inputs)


@pytest.mark.parametrize(("length", "batch"), [(7, 3), (6, 3), (2, 5)])
def test_every_example_is_seen_once_an_epoch(length, batch):
    task, train = remembering(length)
    for draw in range(-(-3 * length // batch)):
        task.train_batch(draw, batch, seed=1)
    orders = [train.asked[k * length : (k + 1) * length] for k in range(3)]
    assert all(sorted(order) == list(range(length)) for order in orders)
    if length > 2:
        assert orders[0] != orders[1]


def test_an_example_is_augmented_anew_each_epoch():
    task = fake_task(train_size=1)
    first, second = (task.train_batch(draw, 1, seed=0)[0] for draw in (0, 1))
    assert not torch.equal(first, second)


def test_scores_do_not_depend_on_the_model_mode_and_leave_it_alone():
    model = tiny()
    model.train()
    model.conv3.eval()
    modes = [module.training for module in model.modules()]
    state = {name: value.clone() for name, value in model.state_dict().items()}
    scores = fake_task().score(model, "test")
    assert [module.training for module in model.modules()] == modes
    assert all(torch.equal(state[name], value) for name, value in model.state_dict().items())
    assert scores == fake_task().score(model.eval(), "test")
    assert set(scores) == set(METRICS)
    assert scores != fake_task().score(model, "holdout")


def test_scores_of_a_known_answer():
    class Constant(nn.Module):
        def __init__(self):
            super().__init__()
            self.depth = nn.Parameter(torch.tensor(2.0))

        def forward(self, x):
            return self.depth.expand(len(x), 1, *x.shape[2:])

    task = fake_task()
    truth = np.stack([task.data.test.evaluation_example(i)[1] for i in range(3)])
    errors = [np.abs(2.0 - depth[depth > 0]) for depth in truth]
    scores = task.score(Constant(), "test")
    assert scores["mae"] == pytest.approx(np.mean([e.mean() for e in errors]), rel=1e-5)
    assert scores["rmse"] == pytest.approx(
        np.mean([np.sqrt((e**2).mean()) for e in errors]), rel=1e-5
    )


def test_prepare_gives_the_head_the_statistics_of_the_data():
    task, model = fake_task(), tiny()
    task.prepare(model)
    depths = np.concatenate([task.data.train.evaluation_example(i)[1].ravel() for i in range(11)])
    head = model.decode_conv6[1]
    assert head.bias.item() == pytest.approx(depths[depths > 0].mean(), rel=1e-5)
    assert head.weight.item() == pytest.approx(depths[depths > 0].std(), rel=1e-5)
    other = nn.Conv2d(3, 1, 1)
    task.prepare(other)  # another's network is left alone


def test_a_network_that_is_not_for_depth_is_refused():
    with pytest.raises(UserError, match=r"returns \(3, 5, 64, 64\)"):
        fake_task().score(nn.Conv2d(3, 5, 1), "test")


def test_data_without_truth_is_refused():
    class Blind(FakeDataset):
        def evaluation_example(self, index):
            rgb, depth = super().evaluation_example(index)
            return rgb, depth * 0

    blind: Any = Blind(2, 0)
    task = DepthTask(DepthData("fake", SIZE, blind, blind, blind))
    with pytest.raises(UserError, match="no image of the test split has ground truth"):
        task.score(tiny(), "test")
    with pytest.raises(UserError, match="training images have no ground truth"):
        task.prepare(tiny())


def test_an_unknown_loss_is_refused():
    with pytest.raises(UserError, match="unknown loss 'l3'; known: l1, l1-log, berhu"):
        fake_task("l3")


def test_real_frames_open_as_a_task(nyu):
    task = open_depth(f"pairs:{nyu}", (64, 96))
    inputs, targets = task.train_batch(0, 2, seed=0)
    assert inputs.shape == (2, 3, 64, 96)
    assert 0 <= inputs.min() <= inputs.max() <= 1
    assert 0.4 < targets[targets > 0].mean() < 10


class Answers(nn.Module):
    """Answers any images with one depth map."""

    def __init__(self, depth):
        super().__init__()
        self.depth = nn.Parameter(depth)

    def forward(self, x):
        return self.depth.expand(len(x), 1, -1, -1)


@pytest.mark.parametrize("protocol", ["fastdepth", "fastdepth-official", "eigen-nyu"])
def test_a_depth_map_scores_the_same_at_every_input_size(protocol):
    answer = Answers(torch.linspace(1, 5, 24 * 32).reshape(1, 1, 24, 32))
    large, small = (
        open_depth("synthetic:2", size, protocol=protocol, truth_size="48x64")
        for size in ((48, 64), (24, 32))
    )
    assert large.score(answer, "test") == small.score(answer, "test")
    plain = open_depth("synthetic:2", (48, 64), protocol=protocol)
    assert plain.score(answer, "test") == large.score(answer, "test")


def test_truth_is_taken_where_asked_and_predictions_are_brought_there():
    small = open_depth("synthetic:2", (24, 32), truth_size="48x64")
    large = open_depth("synthetic:2", (48, 64))
    answer = Answers(torch.rand(1, 1, 12, 16) + 2)
    upsampled = nn.functional.interpolate(answer.depth, (48, 64), mode="bilinear")
    count = len(large.data.test)
    truth = np.stack([large.data.test.evaluation_example(i)[1] for i in range(count)])
    errors = [np.abs(upsampled[0].detach().numpy() - depth)[depth > 0].mean() for depth in truth]
    assert small.score(answer, "test")["mae"] == pytest.approx(np.mean(errors), rel=1e-5)
    assert small.train_batch(0, 2, seed=0)[1].shape == (2, 1, 24, 32)


def test_a_truth_size_that_is_none_is_refused():
    with pytest.raises(UserError, match=r"truth_size '48' is not HxW"):
        open_depth("synthetic:2", (24, 32), truth_size="48")
