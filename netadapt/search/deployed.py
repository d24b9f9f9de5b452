"""Chosen points as they will run: exported in the target's precision, and scored from the file."""

from dataclasses import dataclass
from pathlib import Path

from netadapt.deployment.deployed import load_deployed
from netadapt.search.base_network import BaseNetwork
from netadapt.training.calibration import calibration_frames
from netadapt.training.checkpoint import load_pruned

FRAMES = 64  # that set the int8 ranges


@dataclass(frozen=True)
class DeployedScores:
    """What a file scores.

    Attributes:
        holdout: the score that counts, on the holdout.
        test: every score, on the test split.
    """

    holdout: float
    test: dict[str, float]


def deployed_scores(base: BaseNetwork, checkpoint: Path) -> DeployedScores:
    """Export the int8 file of ``checkpoint`` beside it, and score the file.

    Args:
        base: the network that the checkpoint's was pruned from.
        checkpoint: ``.safetensors``; the file is named ``.onnx``.
    """
    from netadapt.deployment.api import export  # needs onnxruntime, and a search does not

    model = load_pruned(checkpoint, base.prunable)
    path = checkpoint.with_suffix(".onnx")
    frames = calibration_frames(base.task, FRAMES)
    export(model, base.example_input, path, precision="int8", calibration=frames)
    network = load_deployed(path)
    holdout = base.task.score(network, "holdout")[base.task.primary]
    return DeployedScores(holdout, dict(base.task.score(network, "test")))
