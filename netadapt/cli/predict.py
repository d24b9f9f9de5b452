"""``netadapt predict``."""

from pathlib import Path
from typing import Annotated

import typer

from netadapt.cli.common import InputSize, Output, parse_size


def predict(
    checkpoint: Annotated[
        str,
        typer.Argument(
            metavar="CHECKPOINT", help="A checkpoint, a registry name or package.module:factory."
        ),
    ],
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Photographs.")],
    out: Annotated[Path, typer.Option(metavar="FOLDER", help="Folder for the depth maps.")],
    input_size: InputSize = None,
    output: Output = None,
) -> None:
    """Draw coloured depth maps beside photographs."""
    from torch import Tensor

    from netadapt.cli.models import load_with_input, say_if_fresh
    from netadapt.depth.predict import predict as run
    from netadapt.errors import UserError
    from netadapt.models.inputs import image_size
    from netadapt.pruning.examples import described
    from netadapt.report.run_pictures import save_predictions

    model, example = load_with_input(
        checkpoint, parse_size(input_size), output=output, deployed=True
    )
    size = image_size(example)
    if not isinstance(example, Tensor) or size is None:
        raise UserError(
            f"{checkpoint} takes {described(example)}; predict draws depth maps of images"
        )
    predictions = run(model, images, size)
    written = save_predictions([(p.path, p.rgb, p.depth) for p in predictions], out)
    say_if_fresh(checkpoint)
    for path in written:
        print(path)
