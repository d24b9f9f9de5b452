"""A few test images with the base's and the final network's predictions, for the strip."""

import numpy as np
import torch
import torch.nn.functional as F

from netadapt.files import replacing
from netadapt.search.candidate import Candidate
from netadapt.search.problem import Problem
from netadapt.search.run_folder import RunFolder
from netadapt.training.checkpoint import load_checkpoint
from netadapt.training.depth import DepthTask

COUNT = 3


def write_samples(problem: Problem, folder: RunFolder, final: Candidate) -> None:
    """Write ``samples.npz``: rgb uint8 ``(N, H, W, 3)``; truth, base, pruned ``(N, H, W)`` m.

    Predictions of another size are interpolated to the photograph's.
    """
    task = problem.task
    if not isinstance(task, DepthTask):
        return
    test = task.data.test
    picks = ((np.arange(COUNT) + 0.5) / COUNT * len(test)).astype(int)[: len(test)]
    examples = [test.evaluation_example(int(pick)) for pick in picks]
    images = np.stack([rgb for rgb, _ in examples])
    predictions = {}
    for name, checkpoint in (("base", "checkpoints/0.safetensors"), ("pruned", final.checkpoint)):
        model = load_checkpoint(folder.path / checkpoint).eval()
        with torch.no_grad():
            depth = model(torch.from_numpy(images))
        if depth.shape[2:] != images.shape[2:]:
            depth = F.interpolate(depth, images.shape[2:], mode="bilinear", align_corners=False)
        predictions[name] = depth[:, 0].numpy().astype(np.float32)
    with replacing(folder.samples) as temporary, temporary.open("wb") as file:
        np.savez(
            file,
            rgb=(images.transpose(0, 2, 3, 1) * 255).round().astype(np.uint8),
            truth=np.stack([depth[0] for _, depth in examples]).astype(np.float32),
            names=np.array([test.name(int(pick)) for pick in picks]),
            **predictions,
        )
