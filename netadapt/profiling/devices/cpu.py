"""This machine's own processor."""

from netadapt.errors import UserError
from netadapt.latency.fusion import rules_of
from netadapt.latency.target import Options, Target
from netadapt.profiling.agent import host
from netadapt.profiling.agent.precision import problem
from netadapt.profiling.devices.local import LocalDevice
from netadapt.profiling.runtimes.base import Runtime


class CpuDevice(LocalDevice):
    """The CPU that netadapt itself runs on."""

    name = "cpu"

    def target(self, runtime: Runtime, options: Options | None = None) -> Target:
        """Describe this CPU with ``runtime`` as a target.

        Raises:
            UserError: more threads or other cores than the process may use, or a precision that
                the runtime or the CPU lacks.
        """
        options = options or Options()
        options.require_for(runtime.name)
        options.check(host.cores())
        reason = problem(runtime.name, options.precision, host.cpu_features())
        if reason:
            raise UserError(reason)
        return Target(
            device=self.name,
            hardware=host.hardware(),
            system=host.system(),
            runtime=runtime.name,
            runtime_version=runtime.version(),
            clock=host.clock(),
            fusion=rules_of(runtime.name, options.precision),
            **options.model_dump(),
        )
