from netadapt.training.checkpoint import (
    checkpoint_info,
    is_file_reference,
    load_checkpoint,
    load_model,
    save_checkpoint,
)
from netadapt.training.dataset_task import DatasetTask
from netadapt.training.device import compute_device
from netadapt.training.loop import TrainingDiverged, TrainSettings, TrainState, fit
from netadapt.training.progress import Progress
from netadapt.training.run import TrainConfig, TrainFolder, read_config, train
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
    "save_checkpoint",
    "train",
]
