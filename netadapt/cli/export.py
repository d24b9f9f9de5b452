"""``netadapt export``."""

from pathlib import Path
from typing import Annotated

import typer

from netadapt.cli.common import parse_size


def export(
    checkpoint: Annotated[str, typer.Argument(metavar="CHECKPOINT")],
    out: Annotated[Path, typer.Option(help="FILE.onnx")],
    input_size: Annotated[
        str | None, typer.Option(help="HxW; a checkpoint brings its own.")
    ] = None,
) -> None:
    """Write a network as ONNX."""
    from netadapt.cli.models import load_with_input, say_if_fresh
    from netadapt.errors import UserError
    from netadapt.profiling.onnx_model import export_onnx

    if out.suffix != ".onnx":
        raise UserError(f"--out {out} does not end in .onnx")
    model, example = load_with_input(checkpoint, parse_size(input_size))
    export_onnx(model, example, out)
    say_if_fresh(checkpoint)
    print(out)
