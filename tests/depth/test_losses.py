import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from netadapt.depth.losses import (
    LOSSES,
    densedepth,
    l1_with_log,
    masked_berhu,
    masked_l1,
    silog,
    silog_with_gradient,
)
from netadapt.depth.models import DenseDepth


def naive_errors(outputs, targets):
    pairs = zip(outputs.flatten().tolist(), targets.flatten().tolist(), strict=True)
    return [abs(o - t) for o, t in pairs if t > 0]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**31))
def test_losses_are_those_of_naive_twins(seed):
    random = torch.Generator().manual_seed(seed)
    targets = torch.rand(2, 1, 3, 4, generator=random) * 5
    targets[torch.rand(targets.shape, generator=random) < 0.4] = 0
    outputs = torch.rand(targets.shape, generator=random) * 5
    errors = naive_errors(outputs, targets)
    if not errors:
        return
    mean = sum(errors) / len(errors)
    assert float(masked_l1(outputs, targets)) == pytest.approx(mean, rel=1e-5)
    known = targets > 0
    logs = (outputs.clamp(min=1e-3).log() - targets.log())[known].abs().mean()
    assert float(l1_with_log(outputs, targets)) == pytest.approx(mean + float(logs), rel=1e-5)
    c = 0.2 * max(errors)
    berhu = [e if e <= c else (e * e + c * c) / (2 * c) for e in errors]
    assert float(masked_berhu(outputs, targets)) == pytest.approx(sum(berhu) / len(berhu), rel=1e-5)


ALL = [masked_l1, l1_with_log, masked_berhu, silog, silog_with_gradient, densedepth]


def random_maps(seed, shape=(2, 1, 14, 13)):
    random = torch.Generator().manual_seed(seed)
    targets = 0.3 + 8 * torch.rand(shape, generator=random)
    targets[torch.rand(shape, generator=random) < 0.2] = 0
    return targets * 0.8 + torch.rand(shape, generator=random), targets


def naive_edges(difference, valid):
    """The mean step downwards plus the mean step to the right, where both ends are valid."""
    total = 0.0
    for down, right in ((1, 0), (0, 1)):
        steps = []
        for image, mask in zip(difference[:, 0].tolist(), valid[:, 0].tolist(), strict=True):
            for i in range(len(image) - down):
                for j in range(len(image[0]) - right):
                    if mask[i][j] and mask[i + down][j + right]:
                        steps.append(abs(image[i + down][j + right] - image[i][j]))
        total += sum(steps) / len(steps)
    return total


def naive_ssim(first, second, i, j, data_range):
    """SSIM of two ``(H, W)`` arrays under an 11x11 Gaussian centred at ``(i, j)``."""
    offsets = np.arange(-5, 6)
    weight = np.exp(-(offsets[:, None] ** 2 + offsets[None] ** 2) / (2 * 1.5**2))
    weight /= weight.sum()
    a, b = (image[i - 5 : i + 6, j - 5 : j + 6] for image in (first, second))
    mean_a, mean_b = (weight * a).sum(), (weight * b).sum()
    var_a, var_b = (weight * (a - mean_a) ** 2).sum(), (weight * (b - mean_b) ** 2).sum()
    cov = (weight * (a - mean_a) * (b - mean_b)).sum()
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    return ((2 * mean_a * mean_b + c1) * (2 * cov + c2)) / (
        (mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2)
    )


@pytest.mark.parametrize("seed", range(5))
def test_silog_is_that_of_a_naive_twin(seed):
    outputs, targets = random_maps(seed)
    outputs[0, 0, 0, :3] = -1.0  # held at a millimetre
    pairs = zip(outputs.flatten().tolist(), targets.flatten().tolist(), strict=True)
    gaps = [math.log(max(o, 1e-3)) - math.log(t) for o, t in pairs if t > 0]
    mean = sum(gaps) / len(gaps)
    wanted = 10 * math.sqrt(sum(g * g for g in gaps) / len(gaps) - 0.85 * mean**2)
    assert float(silog(outputs, targets)) == pytest.approx(wanted, rel=1e-4)
    valid = targets > 0
    difference = outputs.clamp(min=1e-3).log() - targets.where(valid, 1.0).log()
    wanted += 0.1 * naive_edges(difference, valid)
    assert float(silog_with_gradient(outputs, targets)) == pytest.approx(wanted, rel=1e-4)


def test_silog_forgives_most_of_a_wrong_scale():
    _, targets = random_maps(0)
    assert float(silog(2 * targets, targets)) == pytest.approx(
        10 * math.log(2) * math.sqrt(0.15), rel=1e-4
    )


@pytest.mark.parametrize("seed", range(3))
def test_the_loss_of_densedepth_is_that_of_a_naive_twin(seed):
    depths, targets = random_maps(seed)
    targets[0, 0, 5, 5], targets[0, 0, 6, 5] = 0.05, 12.0  # beyond what the answer can say
    answers = 10 / depths
    valid = (targets > 0).numpy()
    held = np.clip(targets.double().numpy(), 0.1, 10)
    truth = np.where(valid, 10 / held, 0)
    seen = np.where(valid, answers.double().numpy(), 0)
    unlike = [
        min(max((1 - naive_ssim(seen[n, 0], truth[n, 0], i, j, 100.0)) / 2, 0), 1)
        for n in range(2)
        for i in range(5, 14 - 5)
        for j in range(5, 13 - 5)
        if valid[n, 0, i, j]
    ]
    wanted = sum(unlike) / len(unlike)
    wanted += naive_edges(torch.from_numpy(seen - truth), torch.from_numpy(valid))
    wanted += 0.1 * np.abs(seen - truth)[valid].mean()
    assert float(densedepth(answers, targets)) == pytest.approx(wanted, rel=1e-4)


class HalfSize(nn.Module):
    """Answers with every second pixel of the image's first colour."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, image):
        return self.scale * image[:, :1, ::2, ::2]


@pytest.mark.parametrize("name", LOSSES)
def test_truth_is_brought_to_the_size_of_the_answer(name):
    image, (_, targets) = torch.rand(2, 3, 28, 30) + 1, random_maps(1, (2, 1, 28, 30))
    smaller = F.interpolate(targets, (14, 15), mode="nearest")
    assert torch.equal(smaller, targets[..., ::2, ::2])
    model = HalfSize()
    value = LOSSES[name](model, image, targets)
    same_size = LOSSES[name](nn.Identity(), image[:, :1, ::2, ::2], smaller)
    torch.testing.assert_close(value, same_size)
    value.backward()
    assert model.scale.grad is not None
    assert torch.isfinite(model.scale.grad).all()
    assert model.scale.grad.abs() > 0


@pytest.mark.parametrize("name", LOSSES)
def test_losses_are_exact_under_autocast(name):
    image, (_, targets) = torch.rand(2, 3, 28, 30) + 1, random_maps(1, (2, 1, 28, 30))
    losses = []
    for enabled in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=enabled):
            losses.append(LOSSES[name](HalfSize(), image, targets).detach())
    assert torch.equal(*losses)


def test_densedepth_learns_from_what_the_clamp_would_hide():
    class Answers(DenseDepth):
        def __init__(self):
            nn.Module.__init__(self)
            self.answer = nn.Parameter(torch.full((1, 1, 14, 14), -2.0))

        def training_outputs(self, image):
            return self.answer

    model, targets = Answers(), torch.full((1, 1, 28, 28), 3.0)
    LOSSES["densedepth"](model, torch.rand(1, 3, 28, 28), targets).backward()
    assert model.answer.grad is not None
    assert (model.answer.grad < 0).all()


@pytest.mark.parametrize("loss", ALL)
def test_a_batch_without_truth_costs_nothing_and_moves_nothing(loss):
    outputs = torch.rand(2, 1, 14, 14, requires_grad=True)
    value = loss(outputs, torch.zeros(2, 1, 14, 14))
    value.backward()
    assert float(value.detach()) == pytest.approx(0, abs=2e-5)
    assert outputs.grad is not None
    assert torch.equal(outputs.grad, torch.zeros_like(outputs))


@pytest.mark.parametrize("loss", ALL)
def test_only_valid_pixels_get_gradients(loss):
    outputs = torch.full((1, 1, 14, 14), 3.0, requires_grad=True)
    targets = torch.linspace(1, 2, 14).view(1, 1, 14, 1).repeat(1, 1, 1, 14)
    targets[..., 7:] = 0
    loss(outputs, targets).backward()
    assert outputs.grad is not None
    assert (outputs.grad[..., :7] != 0).any()
    assert (outputs.grad[..., 7:] == 0).all()


@pytest.mark.parametrize("loss", ALL)
def test_a_perfect_answer_has_finite_gradients(loss):
    outputs = torch.full((1, 1, 14, 14), 3.0, requires_grad=True)
    loss(outputs, torch.full((1, 1, 14, 14), 3.0)).backward()
    assert outputs.grad is not None
    assert torch.isfinite(outputs.grad).all()
