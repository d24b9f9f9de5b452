from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from fake_video import FAR, NEAR, SIZE, STEP, FakeTriplets, video_task
from torch import nn

from netadapt.depth.data import SequenceData
from netadapt.depth.metrics import METRICS
from netadapt.depth.models import FastDepth, Monodepth2
from netadapt.depth.self_supervised import (
    SelfSupervisedTask,
    median_scaled,
    open_self_supervised,
    reprojection_error,
    smoothness,
)
from netadapt.errors import UserError
from netadapt.training import TrainSettings, fit


class Pose(nn.Module):
    """Answers with the same motion, whatever it sees; notes what that was."""

    def __init__(self, translation):
        super().__init__()
        self.translation = nn.Parameter(torch.tensor([translation]))
        self.seen = []

    def forward(self, first, second):
        self.seen.append((first, second))
        return torch.zeros(len(first), 3), self.translation.expand(len(first), 3)


class Guess(nn.Module):
    """Answers with one disparity map at each of ``scales`` scales."""

    def __init__(self, depth, translation, scales=1):
        super().__init__()
        disparity = (1 / depth - 0.01) / 9.99
        self.disparities = nn.ParameterList(
            F.interpolate(disparity, scale_factor=0.5**scale, mode="nearest")
            for scale in range(scales)
        )
        self.pose = Pose(translation)

    def training_outputs(self, image):
        return tuple(d.expand(len(image), -1, -1, -1) for d in self.disparities)

    def forward(self, image):
        return 1 / (0.01 + 9.99 * self.training_outputs(image)[0])


def true_depth():
    return torch.from_numpy(FakeTriplets(1, 0).evaluation_example(0)[3])[None]


def naive_error(seen, target):
    """The reprojection error of two ``(3, H, W)`` images, pixel by pixel."""
    padded = [np.pad(image, ((0, 0), (1, 1), (1, 1)), mode="reflect") for image in (seen, target)]
    errors = np.zeros(seen.shape)
    for c, i, j in np.ndindex(*seen.shape):
        a, b = (image[c, i : i + 3, j : j + 3] for image in padded)
        cov = (a * b).mean() - a.mean() * b.mean()
        like = (2 * a.mean() * b.mean() + 0.01**2) * (2 * cov + 0.03**2)
        like /= (a.mean() ** 2 + b.mean() ** 2 + 0.01**2) * (a.var() + b.var() + 0.03**2)
        errors[c, i, j] = 0.85 * min(max((1 - like) / 2, 0), 1) + 0.15 * abs(
            seen[c, i, j] - target[c, i, j]
        )
    return errors.mean(axis=0)


def test_the_reprojection_error_is_that_of_a_naive_twin():
    seen, target = torch.rand(2, 2, 3, 7, 8, dtype=torch.float64)
    got = reprojection_error(seen, target)
    assert got.shape == (2, 1, 7, 8)
    for n in range(2):
        wanted = naive_error(seen[n].numpy(), target[n].numpy())
        np.testing.assert_allclose(got[n, 0].numpy(), wanted, rtol=1e-6)


def test_smoothness_is_that_of_a_naive_twin():
    disparity, image = torch.rand(2, 1, 4, 5) + 0.1, torch.rand(2, 3, 8, 10)
    small = image.view(2, 3, 4, 2, 5, 2).mean(dim=(3, 5))
    total = 0.0
    for down, right in ((1, 0), (0, 1)):
        steps = []
        for n, i, j in np.ndindex(2, 4 - down, 5 - right):
            ahead = (n, slice(None), i + down, j + right)
            here = (n, slice(None), i, j)
            edge = (small[ahead] - small[here]).abs().mean()
            step = (disparity[ahead] - disparity[here]).abs() / disparity[n].mean()
            steps.append(float(step * torch.exp(-edge)))
        total += sum(steps) / len(steps)
    assert float(smoothness(disparity, image)) == pytest.approx(total, rel=1e-5)
    torch.testing.assert_close(smoothness(3 * disparity, image), smoothness(disparity, image))


def test_the_loss_is_put_together_as_in_the_paper():
    task = video_task()
    inputs, targets = task.train_batch(0, 2, seed=0)
    model = Guess(1 + 3 * torch.rand(1, 1, *SIZE), [-STEP, 0.02, 0.01], scales=4)
    torch.manual_seed(3)
    loss = task.loss(model, inputs, targets)
    torch.manual_seed(3)
    noise = 1e-5 * torch.randn(2, 2, *SIZE)
    sources = targets["sources"]
    standing = torch.cat([reprojection_error(sources[:, n], inputs) for n in (0, 1)], dim=1)
    rows, columns = torch.meshgrid(*(torch.arange(float(n)) for n in SIZE), indexing="ij")
    fx, cx, cy = (float(targets["intrinsics"][0, i, j]) for i, j in ((0, 0), (0, 2), (1, 2)))
    total = torch.zeros(())
    for scale, disparity in enumerate(model.training_outputs(inputs)):
        full = F.interpolate(disparity, SIZE, mode="bilinear")
        z = 1 / (0.01 + 9.99 * full[:, 0])
        errors = [standing + noise]
        for source, sign in ((0, -1), (1, 1)):  # the way to the frame before is the way back
            tx, ty, tz = (sign * t for t in (-STEP, 0.02, 0.01))
            x = ((columns - cx) * z / fx + tx) * fx / (z + tz) + cx
            y = ((rows - cy) * z / fx + ty) * fx / (z + tz) + cy
            grid = torch.stack([2 * x / (SIZE[1] - 1) - 1, 2 * y / (SIZE[0] - 1) - 1], dim=3)
            moved = F.grid_sample(
                sources[:, source], grid, padding_mode="border", align_corners=True
            )
            errors.append(reprojection_error(moved, inputs))
        total += torch.cat(errors, dim=1).amin(dim=1).mean()
        total += 1e-3 / 2**scale * smoothness(disparity, inputs)
    assert float(loss.detach()) == pytest.approx(float(total.detach()) / 4, rel=1e-4)


def test_the_true_depth_and_motion_explain_the_video():
    task = video_task()
    right = Guess(true_depth(), [-STEP, 0.0, 0.0])
    standing, wrong = Guess(true_depth(), [0.0] * 3), Guess(true_depth().flip(2), [-STEP, 0.0, 0.0])
    scores = [task.score(model, "holdout")["photometric"] for model in (right, standing, wrong)]
    assert scores[0] < 0.2 * min(scores[1:])


def test_frames_are_shown_to_the_pose_network_in_the_order_they_were_taken():
    task = video_task()
    inputs, targets = task.train_batch(0, 2, seed=0)
    model = Guess(true_depth(), [-STEP, 0.0, 0.0])
    task.loss(model, inputs, targets)
    before, after = targets["sources"].unbind(1)
    for seen, wanted in zip(model.pose.seen, [(before, inputs), (inputs, after)], strict=True):
        assert torch.equal(seen[0], wanted[0])
        assert torch.equal(seen[1], wanted[1])


def test_the_geometry_is_exact_under_autocast():
    task = video_task()
    inputs, targets = task.train_batch(0, 2, seed=0)
    model = Guess(true_depth(), [-STEP, 0.0, 0.0])
    losses = []
    for enabled in (False, True):
        torch.manual_seed(0)
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            losses.append(task.loss(model, inputs, targets).detach())
    assert losses[1].dtype == torch.float32
    assert torch.equal(*losses)


def test_a_scene_that_stands_still_teaches_nothing():
    task = video_task()
    inputs, targets = task.train_batch(0, 2, seed=0)
    targets["sources"] = inputs[:, None].expand(-1, 2, -1, -1, -1)
    model = Guess(true_depth(), [-STEP, 0.0, 0.0])
    task.loss(model, inputs, targets).backward()
    gradient = model.pose.translation.grad
    assert gradient is not None
    assert torch.equal(gradient, torch.zeros(1, 3))


def test_depth_is_scored_up_to_scale():
    task = video_task()
    assert (task.primary, task.higher_is_better) == ("delta1", True)
    assert task.metrics == ("photometric", *METRICS)
    scores = task.score(Guess(3 * true_depth(), [-STEP, 0.0, 0.0]), "test")
    assert scores["delta1"] == 1
    assert scores["rmse"] == pytest.approx(0, abs=1e-4)
    assert scores.keys() == set(task.metrics)


def test_median_scaling_reads_valid_pixels_alone():
    truth = torch.tensor([[[[2.0, 4.0, 0.0]]], [[[0.0, 0.0, 0.0]]]])
    depth = torch.tensor([[[[1.0, 3.0, 99.0]]], [[[1.0, 2.0, 3.0]]]])
    scaled = median_scaled(depth, truth)
    assert scaled[0].flatten().tolist() == [2.0, 6.0, 198.0]  # lower medians: 2 over 1
    assert torch.equal(scaled[1], depth[1])


def test_without_ground_truth_the_reprojection_error_counts():
    task = video_task(with_depth=False)
    assert (task.primary, task.higher_is_better) == ("photometric", False)
    scores = task.score(Guess(true_depth(), [-STEP, 0.0, 0.0]), "holdout")
    assert list(scores) == ["photometric"]
    assert task.better(0.1, 0.2)


def test_a_test_split_without_ground_truth_is_named():
    parts: list[Any] = [
        FakeTriplets(2, 0),
        FakeTriplets(2, 1),
        FakeTriplets(2, 2, with_depth=False),
    ]
    task = SelfSupervisedTask(SequenceData("fake", SIZE, *parts))
    with pytest.raises(UserError, match="data fake: no image of the test split has ground truth"):
        task.score(Guess(true_depth(), [-STEP, 0.0, 0.0]), "test")


def test_a_batch_is_a_function_of_draw_and_seed():
    inputs, targets = video_task().train_batch(3, 4, seed=1)
    again, more = video_task().train_batch(3, 4, seed=1)
    assert inputs.shape == (4, 3, *SIZE)
    assert targets["sources"].shape == (4, 2, 3, *SIZE)
    assert targets["intrinsics"].shape == (4, 3, 3)
    assert torch.equal(inputs, again)
    assert all(torch.equal(targets[name], more[name]) for name in targets)
    assert not torch.equal(inputs, video_task().train_batch(3, 4, seed=2)[0])


def test_other_networks_are_refused():
    with pytest.raises(UserError, match="FastDepth cannot learn from video"):
        video_task().check(FastDepth())


def test_monodepth2_learns_from_video():
    task, losses = video_task(train_size=2), []
    torch.manual_seed(0)
    model = Monodepth2()
    task.check(model)
    how = TrainSettings(
        steps=8, batch_size=2, optimizer="adamw", lr=2e-4, weight_decay=0.0, schedule="constant"
    )
    before = {name: value.clone() for name, value in model.state_dict().items()}
    fit(model, task, how, on_step=lambda step, loss, lr: losses.append(loss))
    assert sum(losses[-3:]) < 0.9 * sum(losses[:3])
    for name in ("encoder.conv1.weight", "side_heads.3.weight", "pose.decoder.6.weight"):
        assert not torch.equal(model.state_dict()[name], before[name]), name


def test_a_stopped_training_from_video_goes_on_to_the_same_bits():
    task = video_task(train_size=2)
    depth = 1 + 3 * torch.rand(1, 1, *SIZE, generator=torch.Generator().manual_seed(0))
    whole, parts = (Guess(depth, [-0.05, 0.0, 0.0], scales=4) for _ in range(2))
    how = TrainSettings(steps=4, batch_size=2, optimizer="adamw", lr=1e-3)
    fit(whole, task, how)
    fit(parts, task, how, start=fit(parts, task, how, until=2))
    for name, value in whole.state_dict().items():
        assert torch.equal(value, parts.state_dict()[name]), name


@pytest.mark.parametrize(
    ("data", "size", "message"),
    [
        (None, SIZE, "needs --data: sequence:DIR"),
        ("synthetic:8", None, "give one with --input-size"),
        ("nyu:x", SIZE, "nyu"),
    ],
)
def test_what_cannot_be_opened_is_said(data, size, message):
    with pytest.raises(UserError, match=message):
        open_self_supervised(data, size)


def test_the_walls_are_where_they_were_put():
    depth = FakeTriplets(1, 0).evaluation_example(0)[3]
    assert (depth[0, 0, 0], depth[0, -1, 0]) == (FAR, NEAR)
