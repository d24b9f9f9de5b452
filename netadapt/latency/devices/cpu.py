"""This machine's own processor."""

from netadapt.errors import UserError
from netadapt.latency.agent import host
from netadapt.latency.devices.local import LocalDevice
from netadapt.latency.runtimes.base import Runtime
from netadapt.latency.target import Options, Target


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
            **options.model_dump(),
        )
