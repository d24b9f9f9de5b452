"""A few test images with their depth, as several networks see it."""

from collections.abc import Mapping

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from netadapt.depth.data import DepthDataset
from netadapt.training.task import Samples

COUNT = 3


def depth_samples(test: DepthDataset, networks: Mapping[str, nn.Module]) -> Samples:
    """Return images spread over the test split with truth and predictions in metres.

    Predictions of another size are interpolated to the photograph's.
    """
    picks = ((np.arange(COUNT) + 0.5) / COUNT * len(test)).astype(int)[: len(test)]
    examples = [test.evaluation_example(int(pick)) for pick in picks]
    images = np.stack([rgb for rgb, _ in examples])
    answers = {}
    for name, network in networks.items():
        with torch.no_grad():
            depth = network(torch.from_numpy(images))
        if depth.shape[2:] != images.shape[2:]:
            depth = F.interpolate(depth, images.shape[2:], mode="bilinear", align_corners=False)
        answers[name] = depth[:, 0].numpy().astype(np.float32)
    return Samples(
        names=tuple(test.name(int(pick)) for pick in picks),
        images=(images.transpose(0, 2, 3, 1) * 255).round().astype(np.uint8),
        truth=np.stack([depth[0] for _, depth in examples]).astype(np.float32),
        answers=answers,
    )
