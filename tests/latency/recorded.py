"""The workloads of a network as it runs, by its own operations alone."""

from torch import Tensor, nn

from netadapt.latency.fusion import FUSIONS
from netadapt.latency.reordering import commuted, moved_before
from netadapt.latency.workloads import Workload, fuse, workload
from netadapt.pruning.operations import record_operations


def recorded_workloads(model: nn.Module, image: Tensor, runtime: str) -> tuple[Workload, ...]:
    """Run ``model`` and return what ``runtime`` would carry out, in the order it would."""
    fusion = FUSIONS[runtime]
    operations, _ = record_operations(model, image)
    units = fuse(operations, fusion)
    if fusion.upsampling_last:
        operations = list(commuted(operations, moved_before(operations)))
    return tuple(workload(unit, operations) for unit in units)
