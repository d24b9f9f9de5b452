"""The options of profiling beside those of the target."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from netadapt.options import (
    APPROXIMATE,
    INPUTS,
    LOCK,
    NETWORK,
    OUTPUT_OF,
    PROFILING,
    TARGET,
    Option,
    check,
)

RUNTIME = "onnxruntime, torch, torch-compile, openvino, executorch, tvm or, with --bundle, tensorrt"


@dataclass(frozen=True)
class ProfileRequest:
    """What to measure, and where the table goes."""

    device: Annotated[
        str, Option("What is timed: cpu, cuda[:N] or ssh://user@host[:port].", TARGET)
    ] = "cpu"
    runtime: Annotated[str, Option(f"What runs the network: {RUNTIME}.", TARGET)] = "onnxruntime"
    input_size: Annotated[
        tuple[int, int] | None,
        Option(
            "Height and width of the network's input.",
            NETWORK,
            unit="HxW",
            usual="the checkpoint's own",
        ),
    ] = None
    inputs: Annotated[
        tuple[str, ...],
        Option(INPUTS, NETWORK, unit="NAME=SIZES", usual="the checkpoint's own", flag="--input"),
    ] = ()
    output: Annotated[
        str | None, Option(OUTPUT_OF, NETWORK, unit="NAME", usual="the checkpoint's own, or all")
    ] = None
    lut: Annotated[str, Option("Folder that holds the tables.", PROFILING, is_path=True)] = "lut"
    channel_multiple: Annotated[
        Annotated[int, Field(ge=1, le=65536)],
        Option("Widths that are measured are multiples of this.", PROFILING, unit="channels"),
    ] = 8
    lock: Annotated[tuple[str, ...], Option(LOCK, PROFILING, unit="PATTERN")] = ()
    allow_approximate: Annotated[bool, Option(APPROXIMATE, PROFILING)] = False

    def __post_init__(self) -> None:
        check(self)
