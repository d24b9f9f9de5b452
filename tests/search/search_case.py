"""A search small enough for a test, for this process and for children."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from netadapt.api import search
from netadapt.depth.models import FastDepth
from netadapt.depth.models.fastdepth import GROUPS
from netadapt.latency.calibration import NetworkCalibration
from netadapt.latency.fusion import rules_of
from netadapt.latency.table import Latency, LatencyTable
from netadapt.latency.workloads import Workload, workload_map
from netadapt.profiling.design import design_networks
from netadapt.profiling.devices import load_device
from netadapt.profiling.plan import multiples_of
from netadapt.profiling.runtimes import load_runtime
from netadapt.pruning import trace
from netadapt.training.checkpoint import load_model, save_checkpoint

SIZE = (32, 32)
WIDTHS = dict.fromkeys(GROUPS, 8) | {"conv1.3": 32, "conv5.3": 32, "conv9.3": 24, "conv13.3": 32}


def made_up_us(workload: Workload) -> float:
    """A latency that grows with the channels, in a table that nobody measured."""
    inputs = workload.inputs[0][1]
    return 500.0 + 4.0 * inputs * (1 if workload.groups > 1 else workload.out_channels / 8)


def make_case(
    folder: Path,
    *,
    attached: bool,
    scale: float = 1.0,
    precision: str = "fp32",
    network: str = "fastdepth",
) -> dict:
    """Write a base checkpoint and a table; return the arguments of a search.

    Args:
        network: ``slim:Slim`` costs a fifth of the time, where any network will do.
    """
    with torch.random.fork_rng([]):
        torch.manual_seed(0)
        options: dict[str, Any] = {"widths": WIDTHS} if network == "fastdepth" else {}
        model = load_model(network, **options)
    if isinstance(model, FastDepth):
        model.set_depth_statistics(3.0, 1.5)
    checkpoint = folder / "base.safetensors"
    save_checkpoint(model, checkpoint, input_size=SIZE)
    example = torch.rand(1, 3, *SIZE)
    return {
        "model": str(checkpoint),
        "data": "synthetic:24",
        "lut": str(
            made_up_table(
                folder, model, example, attached=attached, scale=scale, precision=precision
            )
        ),
        "short_steps": 1,
        "long_steps": 2,
        "long_points": 2,
        "batch_size": 4,
        "initial_reduction": 0.05,
    }


def made_up_table(
    folder: Path,
    model: nn.Module,
    example: torch.Tensor,
    *,
    attached: bool,
    scale: float = 1.0,
    precision: str = "fp32",
    microseconds: Callable[[Workload], float] = made_up_us,
) -> Path:
    """Write a table that covers ``model``; return its folder."""
    prunable = trace(model, example)
    target = load_device("cpu").target(load_runtime("onnxruntime"))
    rules = rules_of("onnxruntime", precision)
    target = target.model_copy(update={"precision": precision, "fusion": rules})
    if not attached:
        target = target.model_copy(update={"hardware": "another board"})
    table = LatencyTable.open(folder / "lut", target)
    workloads = workload_map(prunable.operations, rules, target.dtype)
    rows = design_networks(workloads, prunable.widths, multiples_of(prunable, 8))
    wanted = {w for row in rows for w in workloads.at(row)}
    times = {w: microseconds(w) for w in wanted}
    table.append({w: Latency(us, us, us, runs=1) for w, us in times.items()})
    calibration = NetworkCalibration(scale=scale, call_us=0, workload_us=0, networks=1)
    table.save_target(target.model_copy(update={"calibrations": (calibration,)}))
    return table.folder


def search_on(arguments: dict, out: Path) -> None:
    """Begin a search in ``out``, or go on with the one that was killed there."""
    if (out / "run.json").exists():
        search(out=out, resume=True)
    else:
        search(**arguments, out=out)
