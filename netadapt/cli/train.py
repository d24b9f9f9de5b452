"""``netadapt train``."""

import shlex
from pathlib import Path
from typing import Annotated, Any

import typer

from netadapt.checksums import Resuming
from netadapt.cli.common import BadSample, Loss, NoDevice, with_task_options_of_depth
from netadapt.cli.declared import with_options
from netadapt.cli.resuming import resumable
from netadapt.factories import trust_words
from netadapt.options import NETWORK, OUTPUT
from netadapt.training.settings import TrainConfig, TrainRequest, TrainSettings


@with_options(TrainConfig, TrainSettings, TrainRequest, Resuming)
def train(
    out: Annotated[
        Path,
        typer.Option(
            help="Folder of the training; new, unless --resume.",
            metavar="FOLDER",
            rich_help_panel=OUTPUT,
        ),
    ],
    imagenet: Annotated[
        bool,
        typer.Option(
            "--imagenet",
            help="Start the encoder from ImageNet weights; needs the network once. [default: off]",
            rich_help_panel=NETWORK,
            show_default=False,
        ),
    ] = False,
    loss: Loss = None,
    on_bad_sample: BadSample = None,
    resume: Annotated[
        bool,
        typer.Option(
            "--resume",
            help="Continue the training in --out; it remembers all other options. [default: off]",
            rich_help_panel=OUTPUT,
            show_default=False,
        ),
    ] = False,
    device: NoDevice = None,
    **given: Any,
) -> None:
    """Train a network. You can stop it at any moment and continue with --resume."""
    from netadapt.api import train as run
    from netadapt.cli.views import training_view
    from netadapt.training.folder import TrainFolder

    given = with_task_options_of_depth(given, loss=loss, on_bad_sample=on_bad_sample)
    if imagenet:
        given["model_options"] = {**given.get("model_options", {}), "imagenet": True}

    def again() -> str | None:
        if not TrainFolder(out).config.exists():
            return None
        return f"netadapt train --resume --out {shlex.quote(str(out))}{trust_words()}"

    with resumable(again), training_view() as view:
        final = run(out=out, resume=resume, progress=view, **given)
    print(final)
