from netadapt.pruning.groups import ChannelGroup
from netadapt.pruning.operations import Operation
from netadapt.pruning.prunable import PrunableModel, Widths
from netadapt.pruning.sizes import OperationMap
from netadapt.pruning.tracing import reshaped, trace

__all__ = [
    "ChannelGroup",
    "Operation",
    "OperationMap",
    "PrunableModel",
    "Widths",
    "reshaped",
    "trace",
]
