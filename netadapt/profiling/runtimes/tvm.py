"""Apache TVM on the CPU, through its Relax ONNX importer."""

from collections.abc import Sequence
from dataclasses import replace

from torch import nn

from netadapt.errors import UserError
from netadapt.latency.fusion import FUSIONS
from netadapt.latency.target import Target
from netadapt.latency.workloads import FusedOperation, fuse
from netadapt.profiling.onnx_model import OnnxTemplate
from netadapt.profiling.runtimes import tvm_session
from netadapt.profiling.runtimes.base import Loader, Runtime
from netadapt.profiling.schedule import SLOW_TO_LOAD
from netadapt.profiling.traced import TracedNetwork
from netadapt.pruning import Operation

FUSION = FUSIONS["tvm"]


class TvmRuntime(Runtime):
    """TVM's virtual machine, compiled by LLVM for the processor at hand.

    ``target.tune`` is the number of schedules of TVM's search space to try for each kernel. With 0,
    its default schedules are used, with which pointwise convolutions are slow.
    """

    name = "tvm"
    # a run of an untuned network takes tenths of a second
    schedule = replace(
        SLOW_TO_LOAD,
        levels=3,
        refinements=1,
        rounds=2,
        runs=3,
        validation_rounds=3,
        validation_runs=2,
    )

    def version(self) -> str:
        """The installed version."""
        return tvm_session.version()

    def loader(self, network: TracedNetwork, target: Target) -> Loader:
        """Export ``network`` to ONNX once; networks pruned from it reuse the graph."""
        return _TvmLoader(OnnxTemplate(network), network.operations, target)


class _TvmLoader(Loader):
    def __init__(
        self, template: OnnxTemplate, operations: tuple[Operation, ...], target: Target
    ) -> None:
        self._template = template
        self._units = fuse(operations, FUSION)
        self._target = target

    def session(self, model: nn.Module) -> tvm_session.TvmSession:
        proto = self._template.filled(model).SerializeToString()
        return tvm_session.TvmSession(
            proto, self._template.example, self._target.threads, self._target.tune
        )

    def profiled_session(self, model: nn.Module) -> tvm_session.ProfiledTvmSession:
        session = tvm_session.ProfiledTvmSession(
            self._template.filled(model).SerializeToString(),
            self._template.example,
            self._target.threads,
            self._target.tune,
            operations=self._template.operation_count,
        )
        require_agreement(session.kernels(), self._units)
        return session


def require_agreement(kernels: Sequence[tuple[int, ...]], units: Sequence[FusedOperation]) -> None:
    """Raise a ``UserError`` unless every kernel lies in one unit and every unit has one."""
    unit_of = {member: place for place, unit in enumerate(units) for member in unit.members}
    executed = set()
    for kernel in kernels:
        touched = {unit_of[operation] for operation in kernel}
        if len(touched) > 1:
            raise UserError(
                f"cannot time this network in tvm: it merges the operations {sorted(set(kernel))}, "
                "which are workloads of their own; use --runtime torch"
            )
        executed |= touched
    for place, unit in enumerate(units):
        if place not in executed:
            raise UserError(
                f"cannot time this network in tvm: no kernel carries out operation {unit.main}; "
                "use --runtime torch"
            )
