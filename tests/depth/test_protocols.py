"""Every protocol against a second reading of its definition, a pixel at a time."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from netadapt.depth import DepthTask
from netadapt.depth.data import DepthData
from netadapt.depth.metrics import DepthScores
from netadapt.depth.protocols import PROTOCOLS, compared, predicted
from netadapt.errors import UserError

NYU = (45 / 480, 471 / 480, 41 / 640, 601 / 640)
DENSEDEPTH = (20 / 480, 460 / 480, 24 / 640, 616 / 640)
EIGEN = (0.3324324, 0.91351351, 0.0359477, 0.96405229)
GARG = (0.40810811, 0.99189189, 0.03594771, 0.96405229)
# which part of the height and width counts, up to which depth, and whether images are mirrored
DEFINED = {
    "fastdepth": (None, None, False),
    "fastdepth-official": (None, None, False),
    "eigen-nyu": (NYU, 10, False),
    "densedepth-nyu": (DENSEDEPTH, 10, True),
    "lapdepth-nyu": (NYU, 10, True),
    "eigen-kitti": (EIGEN, 80, False),
    "garg-kitti": (GARG, 80, False),
    "lapdepth-kitti": (GARG, 80, True),
    "monodepth2": (GARG, 80, False),
    "monodepth2-stereo": (GARG, 80, False),
}


def naive_resize(image, size):
    """Bilinear; pixels are squares, and nothing changes beyond the middle of the outermost."""
    result = np.zeros(size)
    for place in np.ndindex(*size):
        at = [(p + 0.5) * have / want - 0.5
              for p, have, want in zip(place, image.shape, size, strict=True)]  # fmt: skip
        for corner in np.ndindex(2, 2):
            near = [math.floor(a) + step for a, step in zip(at, corner, strict=True)]
            weight = np.prod([1 - abs(a - n) for a, n in zip(at, near, strict=True)])
            held = tuple(
                min(max(n, 0), side - 1) for n, side in zip(near, image.shape, strict=True)
            )
            result[place] += weight * image[held]
    return result


def naive_pairs(name, output, truth):
    """``(prediction, truth)`` of the pixels of one image that count."""
    crop, cap, _ = DEFINED[name]
    if output.shape != truth.shape:
        inverse = name.startswith("monodepth2")
        output = naive_resize(1 / output if inverse else output, truth.shape)
        output = 1 / output if inverse else output
    height, width = truth.shape
    pairs = []
    for (row, column), true in np.ndenumerate(truth):
        guess = output[row, column]
        if name == "fastdepth-official":
            counts = true > 0 or guess > 0
        elif crop is None:
            counts = true > 0
        else:
            sides = height, height, width, width
            edges = [math.floor(part * side + 1e-9) for part, side in zip(crop, sides, strict=True)]
            inside = edges[0] <= row < edges[1] and edges[2] <= column < edges[3]
            counts = inside and 0.001 < true < cap
        if counts:
            pairs.append((guess, true))
    factor = {
        "monodepth2": np.median([t for _, t in pairs]) / np.median([g for g, _ in pairs]),
        "monodepth2-stereo": 5.4,
    }.get(name, 1)
    if cap is None:
        return np.array(pairs)
    return np.array([(min(max(guess * factor, 0.001), cap), true) for guess, true in pairs])


def naive_scores(pairs_of_images):
    """A few metrics: enough to tell which pixels counted and what was done to them."""
    scores = []
    for pairs in pairs_of_images:
        guess, true = pairs.T
        with np.errstate(divide="ignore"):
            ratio = np.maximum(guess / true, true / guess)
        scores.append([np.sqrt(np.mean((guess - true) ** 2)), np.mean(ratio < 1.25)])
    return dict(zip(("rmse", "delta1"), np.mean(scores, axis=0), strict=True))


def random_maps(seed, size, small):
    rng = np.random.default_rng(seed)
    truth = rng.uniform(0.5, 90, (3, 1, *size)) * (rng.random((3, 1, *size)) < 0.6)
    truth[:, :, ::2] /= 10
    output = rng.uniform(0.5, 30, (3, 1, *small))
    return output.astype(np.float32), truth.astype(np.float32)


@pytest.mark.parametrize("small", [(24, 34), (12, 17)], ids=["same size", "half size"])
@pytest.mark.parametrize("name", DEFINED)
def test_pixels_and_predictions_are_those_of_a_naive_twin(name, small):
    output, truth = random_maps(0, (24, 34), small)
    scores = DepthScores()
    scores.add(*compared(torch.from_numpy(output), torch.from_numpy(truth), PROTOCOLS[name]))
    expected = naive_scores(
        [naive_pairs(name, o[0], t[0]) for o, t in zip(output, truth, strict=True)]
    )
    got = scores.average()
    assert {score: got[score] for score in expected} == pytest.approx(expected, rel=1e-5)


def test_every_protocol_has_a_twin():
    assert PROTOCOLS.keys() == DEFINED.keys()
    assert all(name == protocol.name and protocol.source for name, protocol in PROTOCOLS.items())


@pytest.mark.parametrize(
    ("name", "size", "box"),
    [
        ("eigen-nyu", (480, 640), (45, 471, 41, 601)),
        ("lapdepth-nyu", (480, 640), (45, 471, 41, 601)),
        ("densedepth-nyu", (480, 640), (20, 460, 24, 616)),
        ("eigen-kitti", (375, 1242), (124, 342, 44, 1197)),
        ("garg-kitti", (375, 1242), (153, 371, 44, 1197)),
        ("monodepth2", (375, 1242), (153, 371, 44, 1197)),
        ("eigen-nyu", (240, 320), (22, 235, 20, 300)),
    ],
)
def test_crops_have_the_published_edges_at_the_published_size(name, size, box):
    inside = np.zeros(size, bool)
    inside[box[0] : box[1], box[2] : box[3]] = True
    crop = PROTOCOLS[name].crop
    assert crop is not None
    assert np.array_equal(crop.mask(size).numpy(), inside)


@pytest.mark.parametrize("name", DEFINED)
def test_a_flipped_prediction_sees_the_mirrored_photograph(name):
    ramp = torch.arange(12.0).reshape(1, 1, 1, 12)
    seen = []

    def answer(images):
        seen.append(images)
        return images[:, :1] * ramp

    images = torch.rand(2, 3, 5, 12)
    outputs = predicted(answer, images, PROTOCOLS[name])
    if DEFINED[name][2]:
        assert torch.equal(seen[1], images.flip(3))
        assert torch.allclose(outputs, images[:, :1] * 5.5)
    else:
        assert len(seen) == 1
        assert torch.equal(outputs, images[:, :1] * ramp)


class Half(nn.Module):
    """Answers at half the size, differently to a mirrored image."""

    def __init__(self):
        super().__init__()
        with torch.random.fork_rng([]):
            torch.manual_seed(0)
            self.conv = nn.Conv2d(3, 1, 4, stride=2, padding=1)

    def forward(self, x):
        return 5 + self.conv(x)


class Street:
    """Photographs with depth of three sizes; the middle is that of a sparser camera."""

    sizes = ((20, 33), (20, 33), (21, 31), (18, 30), (20, 33))

    def __len__(self):
        return len(self.sizes)

    def scored_example(self, index):
        rng = np.random.default_rng([0, index])
        truth = rng.uniform(2, 9, (1, 16, 24)) * (rng.random((1, 16, 24)) < 0.5)
        return rng.random((3, 16, 24), np.float32), truth.astype(np.float32)

    def full_example(self, index):
        rng = np.random.default_rng([1, index])
        size = (1, *self.sizes[index])
        truth = rng.uniform(2, 9, size) * (rng.random(size) < 0.5)
        return rng.random((3, 16, 24), np.float32), truth.astype(np.float32)


@pytest.mark.parametrize("name", DEFINED)
def test_a_task_scores_by_its_protocol(name):
    street: Any = Street()
    model = Half()
    data = DepthData("street", (16, 24), street, street, street)
    expected = []
    for index in range(len(street)):
        whole = DEFINED[name][0] is not None
        rgb, truth = street.full_example(index) if whole else street.scored_example(index)
        image = torch.from_numpy(rgb)[None]
        with torch.no_grad():
            output = model(image)
            if DEFINED[name][2]:
                output = (output + model(image.flip(3)).flip(3)) / 2
        expected.append(naive_pairs(name, output[0, 0].numpy(), truth[0]))
    got = DepthTask(data, protocol=name).score(model, "test")
    expected = naive_scores(expected)
    assert {score: got[score] for score in expected} == pytest.approx(expected, rel=1e-5)


def test_an_unknown_protocol_is_refused_with_the_known_ones():
    street: Any = Street()
    with pytest.raises(UserError, match=r"unknown protocol 'eigen'; known: fastdepth, .*eigen-nyu"):
        DepthTask(DepthData("street", (16, 24), street, street, street), protocol="eigen")


def test_images_without_a_pixel_that_counts_do_not_count():
    truth = torch.full((2, 1, 20, 30), 5.0)
    truth[1] = 200.0
    scores = DepthScores()
    scores.add(*compared(torch.full_like(truth, 4.0), truth, PROTOCOLS["monodepth2"]))
    assert scores.images == 1
    assert scores.average()["absrel"] == pytest.approx(0)
