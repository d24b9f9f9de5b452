from netadapt.pruning.groups import ChannelGroup
from netadapt.pruning.operations import Operation, OperationMap
from netadapt.pruning.prunable import PrunableModel, Widths, reshaped, trace

__all__ = [
    "ChannelGroup",
    "Operation",
    "OperationMap",
    "PrunableModel",
    "Widths",
    "reshaped",
    "trace",
]
