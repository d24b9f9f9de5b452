"""The devices by name."""

import re

from netadapt.errors import UserError
from netadapt.profiling.devices.base import Device
from netadapt.profiling.devices.cpu import CpuDevice
from netadapt.profiling.devices.ssh import SshDevice


def load_device(name: str) -> Device:
    """Return the device called ``name``.

    Raises:
        UserError: no such device here.
    """
    if name.startswith("ssh:"):
        return SshDevice(name)
    if gpu := re.fullmatch(r"cuda(?::([0-9]{1,3}))?", name):
        from netadapt.profiling.devices.cuda import CudaDevice

        return CudaDevice(int(gpu[1] or 0))
    if name != "cpu":
        raise UserError(f"unknown device {name!r}; known: cpu, cuda[:N], ssh://user@host[:port]")
    return CpuDevice()
