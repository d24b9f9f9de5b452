"""netadapt: fit a neural network to a device's latency budget."""

import importlib
from typing import TYPE_CHECKING, Any

# `search` is a function here and a folder on the disk: the folder is bound first
import netadapt.search  # noqa: F401
from netadapt.errors import UserError
from netadapt.factories import trust
from netadapt.latency.target import Target
from netadapt.search.api import search
from netadapt.search.front import pareto_front
from netadapt.search.search_run import SearchRun

if TYPE_CHECKING:
    from netadapt.deployment import export
    from netadapt.latency.predictor import LatencyPredictor
    from netadapt.latency.table import LatencyTable
    from netadapt.profiling.measurement import LatencyStats, measure
    from netadapt.pruning import ChannelGroup, PrunableModel, trace
    from netadapt.search.targets import search_targets
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
    "export",
    "load_checkpoint",
    "load_model",
    "measure",
    "pareto_front",
    "save_checkpoint",
    "search",
    "search_targets",
    "trace",
    "trust",
]

_NEED_TORCH = {
    "ChannelGroup": "netadapt.pruning",
    "LatencyPredictor": "netadapt.latency.predictor",
    "LatencyStats": "netadapt.profiling.measurement",
    "LatencyTable": "netadapt.latency.table",
    "export": "netadapt.deployment",
    "PrunableModel": "netadapt.pruning",
    "load_checkpoint": "netadapt.training.checkpoint",
    "load_model": "netadapt.training.checkpoint",
    "measure": "netadapt.profiling.measurement",
    "save_checkpoint": "netadapt.training.checkpoint",
    "search_targets": "netadapt.search.targets",
    "trace": "netadapt.pruning",
}


def __getattr__(name: str) -> Any:
    """Import what needs torch when it is first asked for: plots and `--help` do without."""
    if name not in _NEED_TORCH:
        raise AttributeError(f"module 'netadapt' has no attribute {name!r}")
    return getattr(importlib.import_module(_NEED_TORCH[name]), name)
