"""netadapt: fit a neural network to a device's latency budget."""

from typing import TYPE_CHECKING

# `search` is a function here and a folder on the disk: the folder is bound first
import netadapt.search  # noqa: F401
from netadapt.api import evaluate, profile, search, search_targets, train
from netadapt.errors import UserError
from netadapt.factories import trust
from netadapt.latency.target import Target
from netadapt.lazy import lazily
from netadapt.search.front import pareto_front
from netadapt.search.search_run import SearchRun

if TYPE_CHECKING:
    from netadapt.latency.predictor import LatencyPredictor
    from netadapt.latency.table import LatencyTable
    from netadapt.on_device import export, measure
    from netadapt.profiling.measurement import LatencyStats
    from netadapt.pruning import ChannelGroup, PrunableModel, trace
    from netadapt.training.checkpoint import load_checkpoint, load_model, save_checkpoint

__all__ = [
    "ChannelGroup",
    "LatencyPredictor",
    "LatencyStats",
    "LatencyTable",
    "PrunableModel",
    "SearchRun",
    "Target",
    "UserError",
    "evaluate",
    "export",
    "load_checkpoint",
    "load_model",
    "measure",
    "pareto_front",
    "profile",
    "save_checkpoint",
    "search",
    "search_targets",
    "trace",
    "train",
    "trust",
]

# imported when first used: plots and `--help` do without torch
__getattr__ = lazily(
    __name__,
    {
        "ChannelGroup": "netadapt.pruning",
        "LatencyPredictor": "netadapt.latency.predictor",
        "LatencyStats": "netadapt.profiling.measurement",
        "LatencyTable": "netadapt.latency.table",
        "PrunableModel": "netadapt.pruning",
        "export": "netadapt.on_device",
        "load_checkpoint": "netadapt.training.checkpoint",
        "load_model": "netadapt.training.checkpoint",
        "measure": "netadapt.on_device",
        "save_checkpoint": "netadapt.training.checkpoint",
        "trace": "netadapt.pruning",
    },
)
