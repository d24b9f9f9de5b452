"""``netadapt.measure`` and ``netadapt.export``: commands about the deployed network."""

from pathlib import Path
from typing import TYPE_CHECKING

from netadapt.api import network_of, target_of
from netadapt.errors import UserError
from netadapt.latency.target import Options, Target
from netadapt.profiling.request import ProfileRequest

if TYPE_CHECKING:
    from torch import nn

    from netadapt.deployment.api import Exported, FilePrecision
    from netadapt.profiling.measurement import LatencyStats
    from netadapt.pruning.examples import Example


def measure(
    model: "nn.Module | str | Path",
    example_input: "Example | None" = None,
    target: "Target | Options | str | Path | None" = None,
    *,
    input_size: tuple[int, int] | None = None,
    runs: int = 60,
) -> "LatencyStats":
    """Measure the latency of a network on a target.

    Args:
        model: a network, a checkpoint, a registry name or ``package.module:factory``.
        example_input: ``(N, C, H, W)``, or several inputs as ``trace`` takes them, N the target's
            batch. Default: random, of the input size.
        target: a target; the folder or the slug of a table of it; its options; or what is timed,
            as ``--device`` takes it. Default: onnxruntime on this machine's CPU, 1 thread. It must
            be attached.
        input_size: ``(H, W)``. Default: the checkpoint's own.
        runs: timed runs, after a warm-up.

    Returns:
        ``p10_ms``, ``p50_ms`` and ``p90_ms``.

    Raises:
        UserError: anything that the user can fix; the target is not attached.
    """
    from netadapt.profiling.measurement import measure as timed
    from netadapt.training.trial import with_example_input

    found = target_of(target, ProfileRequest(), {})
    network = network_of(model, deployed=True)
    if example_input is None:
        network, example_input = with_example_input(network, input_size, found.batch)
    return timed(network, example_input, found, runs=runs)


def export(
    model: "nn.Module | str | Path",
    example_input: "Example | None" = None,
    path: str | Path | None = None,
    *,
    input_size: tuple[int, int] | None = None,
    precision: "FilePrecision" = "fp32",
    calibration: "Example | None" = None,
    rewrite: bool = True,
) -> "Exported":
    """Write a network as one ONNX file, and check that the file computes the same.

    Batch norms are folded into the convolutions before them.

    Args:
        model: a network, a checkpoint, a registry name or ``package.module:factory``; it is
            exported in eval mode.
        example_input: ``(N, C, H, W)``, or several inputs as ``trace`` takes them; the file takes
            inputs of these shapes only. Default: one
            random input of the input size.
        path: the file to write, ``.onnx``.
        input_size: ``(H, W)``. Default: the checkpoint's own.
        precision: ``fp32``; ``fp16`` (half the size, for GPUs); or ``int8`` (a quarter of the
            size, static quantisation).
        calibration: ``(frames, C, H, W)`` typical inputs, which set the int8 ranges; 32 to 128
            are enough.
        rewrite: whether 1x1 convolutions move before nearest upsamplings, which is exact.

    Returns:
        Path, sizes and errors of the file.

    Raises:
        UserError: the network cannot be exported, int8 has no calibration inputs, the written
            graph differs from the network, or the file cannot be written.
    """
    from netadapt.deployment.api import export as written
    from netadapt.training.trial import with_example_input

    if path is None:
        raise UserError("an export needs path, the .onnx file to write")
    network = network_of(model)
    if example_input is None:
        network, example_input = with_example_input(network, input_size)
    return written(
        network,
        example_input,
        path,
        precision=precision,
        calibration=calibration,
        rewrite=rewrite,
    )
