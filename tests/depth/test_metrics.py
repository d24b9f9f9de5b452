import math

import numpy as np
import pytest
import torch
import torchmetrics
from hypothesis import given, settings
from hypothesis import strategies as st

from netadapt.depth.metrics import METRICS, DepthScores


def naive(outputs, targets):
    """The official definitions, image by image and pixel by pixel."""
    images = []
    for output, target in zip(outputs, targets, strict=True):
        pairs = [(max(float(o), 1e-3), float(o), float(t))
                 for o, t in zip(output.ravel(), target.ravel(), strict=True) if t > 0]  # fmt: skip
        if not pairs:
            continue
        ratios = [max(h / t, t / h) for h, _, t in pairs]
        images.append(
            {
                **{f"delta{k}": np.mean([r < 1.25**k for r in ratios]) for k in (1, 2, 3)},
                "rmse": math.sqrt(np.mean([(o - t) ** 2 for _, o, t in pairs])),
                "absrel": np.mean([abs(o - t) / t for _, o, t in pairs]),
                "log10": np.mean([abs(math.log10(h) - math.log10(t)) for h, _, t in pairs]),
                "mae": np.mean([abs(o - t) for _, o, t in pairs]),
                "irmse": math.sqrt(np.mean([(1 / h - 1 / t) ** 2 for h, _, t in pairs])),
                "rmse_log": math.sqrt(np.mean([math.log(h / t) ** 2 for h, _, t in pairs])),
                "sqrel": np.mean([(o - t) ** 2 / t for _, o, t in pairs]),
                "silog": 100 * np.std([math.log(h / t) for h, _, t in pairs]),
            }
        )
    return {name: np.mean([image[name] for image in images]) for name in METRICS}


def scored(outputs, targets, batch=2):
    scores = DepthScores()
    for start in range(0, len(outputs), batch):
        scores.add(outputs[start : start + batch], targets[start : start + batch])
    return scores.average()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.floats(0.05, 1.0), st.integers(1, 4))
def test_metrics_are_those_of_a_naive_twin(seed, valid, batch):
    rng = np.random.default_rng(seed)
    targets = rng.uniform(0.5, 10, (5, 1, 4, 3)) * (rng.random((5, 1, 4, 3)) < valid)
    targets[0, 0, 0, 0] = 2.0
    outputs = np.maximum(rng.normal(3, 2, targets.shape), 0)  # a ReLU head: zeros among them
    outputs, targets = outputs.astype(np.float32), targets.astype(np.float32)
    got = scored(torch.from_numpy(outputs), torch.from_numpy(targets), batch)
    assert got == pytest.approx(naive(outputs, targets), rel=1e-4, abs=1e-6)


def test_errors_are_those_of_torchmetrics():
    torch.manual_seed(0)
    targets = torch.rand(3, 1, 8, 8) * 9 + 0.5
    outputs = targets * torch.empty_like(targets).uniform_(0.7, 1.4)

    def averaged(metric, view=lambda depth: depth):
        pairs = zip(outputs, targets, strict=True)
        return np.mean([float(metric(view(output), view(target))) for output, target in pairs])

    mean_absolute, root_mean_square = (
        torchmetrics.MeanAbsoluteError(),
        torchmetrics.MeanSquaredError(squared=False),
    )
    assert scored(outputs, targets) == pytest.approx(
        {
            **scored(outputs, targets),
            "mae": averaged(mean_absolute),
            "rmse": averaged(root_mean_square),
            "absrel": averaged(torchmetrics.MeanAbsolutePercentageError()),
            "log10": averaged(mean_absolute, torch.log10),
            "rmse_log": averaged(root_mean_square, torch.log),
            "irmse": averaged(root_mean_square, torch.reciprocal),
        }
    )


@given(st.floats(0.1, 10))
@settings(max_examples=10, deadline=None)
def test_silog_does_not_see_the_scale(factor):
    torch.manual_seed(0)
    targets, outputs = torch.rand(2, 2, 1, 5, 5) + 1
    got, scaled = scored(outputs, targets)["silog"], scored(outputs * factor, targets)["silog"]
    assert scaled == pytest.approx(got, rel=1e-3)


def test_a_valid_pixel_without_truth_is_a_miss_of_the_whole_prediction():
    targets, outputs = torch.tensor([[[[2.0, 0.0]]]]), torch.tensor([[[[2.0, 3.0]]]])
    scores = DepthScores()
    scores.add(outputs, targets, torch.ones_like(targets, dtype=torch.bool))
    got = scores.average()
    assert [got[name] for name in ("delta1", "delta2", "delta3")] == [0.5] * 3
    assert got["mae"] == 1.5
    assert got["rmse"] == pytest.approx(math.sqrt(4.5))
    assert got["absrel"] == math.inf


def test_truth_scores_perfectly_and_pixels_without_truth_do_not_count():
    targets = torch.rand(2, 1, 4, 4) + 1
    targets[:, :, 0] = 0
    outputs = targets.clone()
    outputs[:, :, 0] = 100.0
    got = scored(outputs, targets)
    assert {name: got[name] for name in METRICS[:3]} == dict.fromkeys(METRICS[:3], 1.0)
    assert all(got[name] == pytest.approx(0, abs=1e-5) for name in METRICS[3:])


def test_images_weigh_the_same_however_many_pixels_are_valid():
    targets = torch.ones(2, 1, 4, 4)
    targets[0, 0, 1:] = 0
    outputs = torch.ones(2, 1, 4, 4)
    outputs[0] = 2.0
    assert scored(outputs, targets)["mae"] == pytest.approx(0.5)
