from typing import TYPE_CHECKING

from netadapt.lazy import lazily

if TYPE_CHECKING:
    from netadapt.training.checkpoint import (
        checkpoint_info,
        is_file_reference,
        load_checkpoint,
        load_model,
        save_checkpoint,
    )
    from netadapt.training.dataset_task import DatasetTask
    from netadapt.training.device import compute_device
    from netadapt.training.folder import TrainFolder, read_config
    from netadapt.training.loop import TrainingDiverged, TrainState, fit
    from netadapt.training.progress import Progress
    from netadapt.training.run import run_training
    from netadapt.training.settings import TrainConfig, TrainSettings
    from netadapt.training.task import Samples, Scores, Split, Targets, Task
    from netadapt.training.tasks import open_task

__all__ = [
    "DatasetTask",
    "Progress",
    "Samples",
    "Scores",
    "Split",
    "Targets",
    "Task",
    "TrainConfig",
    "TrainFolder",
    "TrainSettings",
    "TrainState",
    "TrainingDiverged",
    "checkpoint_info",
    "compute_device",
    "fit",
    "is_file_reference",
    "load_checkpoint",
    "load_model",
    "open_task",
    "read_config",
    "run_training",
    "save_checkpoint",
]

__getattr__ = lazily(
    __name__,
    {
        "DatasetTask": "netadapt.training.dataset_task",
        "Progress": "netadapt.training.progress",
        "Samples": "netadapt.training.task",
        "Scores": "netadapt.training.task",
        "Split": "netadapt.training.task",
        "Targets": "netadapt.training.task",
        "Task": "netadapt.training.task",
        "TrainConfig": "netadapt.training.settings",
        "TrainFolder": "netadapt.training.folder",
        "TrainSettings": "netadapt.training.settings",
        "TrainState": "netadapt.training.loop",
        "TrainingDiverged": "netadapt.training.loop",
        "checkpoint_info": "netadapt.training.checkpoint",
        "compute_device": "netadapt.training.device",
        "fit": "netadapt.training.loop",
        "is_file_reference": "netadapt.training.checkpoint",
        "load_checkpoint": "netadapt.training.checkpoint",
        "load_model": "netadapt.training.checkpoint",
        "open_task": "netadapt.training.tasks",
        "read_config": "netadapt.training.folder",
        "save_checkpoint": "netadapt.training.checkpoint",
        "run_training": "netadapt.training.run",
    },
)
