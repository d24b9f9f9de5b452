"""This machine's own processor."""

from netadapt.errors import UserError
from netadapt.latency.target import Options, Target
from netadapt.profiling.agent import host
from netadapt.profiling.devices.local import LocalDevice
from netadapt.profiling.runtimes.base import Runtime


class CpuDevice(LocalDevice):
    """The CPU that netadapt itself runs on."""

    name = "cpu"

    def target(self, runtime: Runtime, options: Options | None = None) -> Target:
        """Describe this CPU with ``runtime`` as a target.

        Raises:
            UserError: more threads or other cores than the process may use, or a precision that
                is not for CPUs.
        """
        options = options or Options()
        options.check(host.cores())
        if options.precision != "fp32":
            raise UserError(f"precision {options.precision!r} is not for cpu; known: fp32")
        return Target(
            device=self.name,
            hardware=host.hardware(),
            system=host.system(),
            runtime=runtime.name,
            runtime_version=runtime.version(),
            clock=host.clock(),
            fusion=runtime.fusion,
            **options.model_dump(),
        )
