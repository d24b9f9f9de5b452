"""Depth of the user's own photographs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from netadapt.depth.data import evaluation_photo, read_photo
from netadapt.errors import UserError
from netadapt.files import existing_file
from netadapt.training.task import evaluating


@dataclass(frozen=True)
class Prediction:
    """The part of a photograph that the network saw, and the depth it predicts.

    Attributes:
        path: the photograph.
        rgb: ``(H, W, 3)`` in [0, 1], the central crop at the input size.
        depth: ``(H, W)`` metres.
    """

    path: Path
    rgb: NDArray[np.float32]
    depth: NDArray[np.float32]


def predict(
    model: nn.Module, paths: Sequence[Path], input_size: tuple[int, int]
) -> list[Prediction]:
    """Predict depth, each photograph being cropped and resized as in evaluation.

    Raises:
        UserError: no photographs, a file that is missing or no image, or a network that does
            not answer with one depth map.
    """
    if not paths:
        raise UserError("no images to predict; name at least one")
    photos = [evaluation_photo(read_photo(existing_file(p, "image")), input_size) for p in paths]
    device = next(model.parameters()).device
    predictions = []
    with evaluating(model):
        for path, photo in zip(paths, photos, strict=True):
            outputs = model(torch.from_numpy(photo)[None].to(device))
            if not isinstance(outputs, torch.Tensor) or outputs.shape != (1, 1, *input_size):
                raise UserError(f"{type(model).__name__} does not answer with one depth map")
            depth = outputs[0, 0].float().cpu().numpy()
            predictions.append(Prediction(path, photo.transpose(1, 2, 0), depth))
    return predictions
