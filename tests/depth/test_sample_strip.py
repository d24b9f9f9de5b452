"""The sample strip of a network that answers at half of the image's size, as DenseDepth does."""

import numpy as np
import torch
from torch import nn

from netadapt.depth import DepthTask
from netadapt.depth.data import open_data


class Half(nn.Module):
    """Brightness at half of the size."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 1, 2, stride=2, bias=False)
        nn.init.constant_(self.conv.weight, 1 / 12)

    def forward(self, x):
        return self.conv(x)


def test_smaller_predictions_are_brought_to_the_photographs_size():
    network = Half()
    samples = DepthTask(open_data("synthetic:40", (64, 96))).samples({"half": network})
    answer = samples.answers["half"]
    assert answer.shape == samples.truth.shape == samples.images.shape[:3] == (3, 64, 96)
    with torch.no_grad():
        images = torch.from_numpy(samples.images.transpose(0, 3, 1, 2) / 255).float()
        small = network(images)[:, 0].numpy()
    np.testing.assert_allclose(  # bilinear interpolation keeps the mean of two rows, two columns
        answer[:, 1:-1, 1:-1].reshape(3, 31, 2, 47, 2).mean((2, 4)),
        (small[:, :-1] + small[:, 1:])[..., :-1] / 4 + (small[:, :-1] + small[:, 1:])[..., 1:] / 4,
        atol=2e-3,  # the photographs are kept in 8 bits
    )
