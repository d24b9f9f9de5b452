"""What the base and the final points answer to a few test images, for the pictures of a run."""

import numpy as np

from netadapt.files import replacing
from netadapt.search.run_folder import RunFolder
from netadapt.search.state import SearchState
from netadapt.training.checkpoint import load_checkpoint
from netadapt.training.task import Task

BASE = "0"


def write_samples(task: Task, folder: RunFolder, state: SearchState, final: str) -> None:
    """Write ``samples.npz``, if the task has anything to draw.

    ``rgb`` uint8 ``(N, H, W, 3)``; ``truth`` ``(N, H, W)``; ``names``; ``candidates`` ``(K,)``,
    the base and every long-term candidate, and their ``answers``, float16 ``(K, N, H, W)``;
    ``final``, the name of the answer.
    """
    tuned = [row.name for row in state.candidates.values() if row.stage == "long"]
    shown = [BASE, *(name for name in tuned if state.candidates[name].score is not None)]
    if final not in shown:
        shown.append(final)
    samples = task.samples(
        {
            name: load_checkpoint(folder.path / state.candidates[name].checkpoint).eval()
            for name in shown
        }
    )
    if samples is None:
        return
    with replacing(folder.samples) as temporary, temporary.open("wb") as file:
        np.savez_compressed(
            file,
            rgb=samples.images,
            truth=samples.truth,
            names=np.array(samples.names),
            candidates=np.array(shown),
            answers=np.stack([samples.answers[name] for name in shown]).astype(np.float16),
            final=np.array(final),
        )
