"""The devices by name."""

from netadapt.errors import UserError
from netadapt.latency.devices.cpu import CpuDevice


def load_device(name: str) -> CpuDevice:
    """Return the device called ``name``.

    Raises:
        UserError: no such device here.
    """
    if name != "cpu":
        raise UserError(f"unknown device {name!r}; known: cpu")
    return CpuDevice()
