from netadapt.pruning.groups import ChannelGroup
from netadapt.pruning.operations import Operation
from netadapt.pruning.prunable import PrunableModel, Widths, reshaped, trace
from netadapt.pruning.sizes import OperationMap

__all__ = [
    "ChannelGroup",
    "Operation",
    "OperationMap",
    "PrunableModel",
    "Widths",
    "reshaped",
    "trace",
]
