"""The sample strip of a network that answers at half of the image's size, as DenseDepth does."""

from types import SimpleNamespace

import numpy as np
import torch
from torch import nn

from netadapt.depth import DepthTask
from netadapt.depth.data import open_data
from netadapt.depth.samples import write_samples
from netadapt.report.samples import read_samples
from netadapt.search.run_folder import RunFolder
from netadapt.training import load_model, save_checkpoint


class Half(nn.Module):
    """Brightness at half of the size."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 1, 2, stride=2, bias=False)
        nn.init.constant_(self.conv.weight, 1 / 12)

    def forward(self, x):
        return self.conv(x)


def test_smaller_predictions_are_brought_to_the_photographs_size(tmp_path):
    folder = RunFolder(tmp_path)
    folder.checkpoints.mkdir()
    network = load_model("test_sample_strip:Half")
    save_checkpoint(network, folder.checkpoints / "0.safetensors", input_size=(64, 96))
    problem = SimpleNamespace(task=DepthTask(open_data("synthetic:40", (64, 96))))
    final = SimpleNamespace(checkpoint="checkpoints/0.safetensors")
    write_samples(problem, folder, final)
    samples = read_samples(folder.samples)
    assert samples.base.shape == samples.rgb.shape[:3] == (3, 64, 96)
    with torch.no_grad():
        images = torch.from_numpy(samples.rgb.transpose(0, 3, 1, 2) / 255).float()
        small = network(images)[:, 0].numpy()
    np.testing.assert_allclose(  # bilinear interpolation keeps the mean of two rows, two columns
        samples.base[:, 1:-1, 1:-1].reshape(3, 31, 2, 47, 2).mean((2, 4)),
        (small[:, :-1] + small[:, 1:])[..., :-1] / 4 + (small[:, :-1] + small[:, 1:])[..., 1:] / 4,
        atol=1e-5,
    )
