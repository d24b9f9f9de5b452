"""The device that trains and scores networks."""

import torch

from netadapt.errors import UserError


def compute_device(name: str = "auto") -> torch.device:
    """Return the device of that name: ``auto`` (a GPU if there is one), ``cpu`` or ``cuda[:N]``.

    Raises:
        UserError: another name, or a GPU that is not there.
    """
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    kind, _, index = name.partition(":")
    if name != "cpu" and not (kind == "cuda" and (index.isdecimal() or name == "cuda")):
        raise UserError(f"unknown device {name!r}; use auto, cpu or cuda[:N]")
    if kind == "cuda" and int(index or 0) >= torch.cuda.device_count():
        raise UserError(f"device {name} is not there; torch sees {torch.cuda.device_count()} GPUs")
    return torch.device(name)
