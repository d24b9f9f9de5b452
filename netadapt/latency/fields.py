"""Workloads as the fields of a row in ``latency.csv``."""

import re
from collections.abc import Sequence

from netadapt.latency.workloads import Shape, Workload, coordinates, family

WORKLOAD_COLUMNS = (
    "kind", "inputs", "out_channels", "kernel", "stride", "padding", "dilation", "groups",
    "activation", "dtype",
)  # fmt: skip
MAX_SIZE = 1 << 20  # channels, pixels
WORDS = {"kind": r"[A-Za-z0-9_]+", "activation": r"[A-Za-z0-9_().,+-]*", "dtype": r"[a-z0-9_]+"}


def workload_fields(workload: Workload) -> list[str]:
    """Return a workload as a table writes it, in the order of ``WORKLOAD_COLUMNS``."""
    return [
        workload.kind,
        "+".join(map(_dashed, workload.inputs)),
        str(workload.out_channels),
        _dashed(workload.kernel),
        _dashed(workload.stride),
        _dashed(workload.padding),
        _dashed(workload.dilation),
        str(workload.groups),
        workload.activation,
        workload.dtype,
    ]


def parse_workload(fields: Sequence[str]) -> Workload:
    """Read what ``workload_fields`` returns.

    Raises:
        ValueError: a field holds what it cannot.
    """
    values = dict(zip(WORKLOAD_COLUMNS, fields, strict=True))
    workload = Workload(
        kind=values["kind"],
        inputs=tuple(_shape(text) for text in values["inputs"].split("+")),
        out_channels=integer(values["out_channels"]),
        kernel=_shape(values["kernel"]),
        stride=_shape(values["stride"]),
        padding=_shape(values["padding"]),
        dilation=_shape(values["dilation"]),
        groups=integer(values["groups"]),
        activation=values["activation"],
        dtype=values["dtype"],
    )
    if workload.out_channels < 1 or workload.groups < 1:
        raise ValueError("no channels or no groups")
    if not all(size > 0 for shape in workload.inputs for size in shape):
        raise ValueError(f"inputs {values['inputs']!r} have a size below 1")
    for name, pattern in WORDS.items():
        if not re.fullmatch(pattern, values[name]):
            raise ValueError(f"{values[name]!r} is no {name}")
    try:
        family(workload), coordinates(workload)
    except IndexError:
        raise ValueError(f"inputs {values['inputs']!r} have no channels") from None
    return workload


def _dashed(shape: Shape) -> str:
    return "x".join(map(str, shape))


def _shape(text: str) -> Shape:
    return tuple(integer(part) for part in text.split("x")) if text else ()


def integer(text: str) -> int:
    """Read an integer of at most 7 digits. Raises ``ValueError`` for all else."""
    if not re.fullmatch(r"-?[0-9]{1,7}", text):  # int() reads more: blanks, underscores, ...
        raise ValueError(f"{text[:40]!r} is not an integer of at most 7 digits")
    number = int(text)
    if abs(number) > MAX_SIZE:
        raise ValueError(f"{number} is larger than {MAX_SIZE}")
    return number
