"""Weights published by the authors of FastDepth (``*.pth.tar``)."""

from dataclasses import replace
from pathlib import Path

from netadapt.depth.models.fastdepth import FastDepth
from netadapt.errors import UserError
from netadapt.files import existing_file
from netadapt.models.weights import read_state_dict

INPUT_SIZE = (224, 224)


def load_official(path: Path) -> FastDepth:
    """Load an official FastDepth checkpoint, full or pruned, in eval mode.

    The file may hold a state dict, or a dict with one under ``state_dict``; a ``module.``
    prefix is dropped. The widths are read from the shapes. Nothing in the file is executed.

    Raises:
        UserError: no such file, not a checkpoint, a file that pickles the whole network (the
            message says how to convert it), or tensors that are not FastDepth's.
    """
    state = read_state_dict(existing_file(path, "checkpoint"))
    try:
        encoder = [state["conv0.0.weight"].shape[0]]
        encoder += [state[f"conv{block}.3.weight"].shape[0] for block in range(1, 14)]
        decoder = [state[f"decode_conv{stage}.1.0.weight"].shape[0] for stage in range(1, 6)]
    except KeyError as error:
        raise UserError(f"{path} is not a FastDepth checkpoint: it has no {error}") from error
    except IndexError as error:
        raise UserError(f"{path} is not a FastDepth checkpoint: a weight is a scalar") from error
    model = FastDepth((encoder, decoder))
    try:
        model.load_state_dict(state, strict=True)
    except RuntimeError as error:
        reason = str(error).splitlines()[1:2] or [str(error)]
        raise UserError(f"{path} is not a FastDepth checkpoint: {reason[0].strip()}") from error
    model.spec = replace(model.spec, input_size=INPUT_SIZE)
    return model.eval()
