"""Whether pruning holds on many networks, and how long tracing and planning take.

python benchmarks/surgery.py [NETWORK...] [--vectors 25] [--onnx 25] [--out benchmarks/results]

For each network and each random width vector: the pruned network's output equals that of the
original whose layers are given zeros for the removed channels (float32 to 1e-4, float64 to 1e-9,
relative), and is not that of the whole network (else the comparison would prove nothing); the
predicted workloads are those traced in the pruned network; its ONNX export answers on onnxruntime
as torch does (1e-4, on the first ``--onnx`` vectors); a training step changes its weights.

Writes a row a network to ``surgery.csv``. Networks that are named are checked, in place of their
rows; else those that have no row with as many vectors yet.
"""

import argparse
import copy
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from multiprocessing import Pool
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pandas as pd
import torch
from families import BUILDERS, example, network, read_rows
from numpy.typing import NDArray
from torch import Tensor, nn

from netadapt import PrunableModel, trace
from netadapt.deployment.exporter import exported_program
from netadapt.latency.fusion import FUSIONS, Fusion
from netadapt.latency.predictor import LatencyPredictor
from netadapt.latency.workloads import Workload, fuse, workload, workload_map
from netadapt.pruning.operations import COPIES, Operation, record_operations
from netadapt.search.costs import Costs
from netadapt.search.proposals import WidthGrid, one_group_each

Scores = dict[str, NDArray[np.float64]]


@dataclass
class Report:
    """What one network showed."""

    network: str
    groups: int
    locked: int
    trace_s: float
    plan_s: float
    vectors: int = 0
    seen: int = 0
    error_fp32: float = 0.0
    error_fp64: float = 0.0
    workloads_equal: int = 0
    onnx_tried: int = 0
    onnx_error: float = 0.0
    trained: int = 0

    @property
    def holds(self) -> bool:
        """Whether the bar is met."""
        return (
            self.error_fp32 <= 1e-4
            and self.error_fp64 <= 1e-9
            and self.seen == self.workloads_equal == self.trained == self.vectors
            and self.onnx_error <= 1e-4
        )


def checked(name: str, model: nn.Module, vectors: int, onnx: int, side: int = 64) -> Report:
    """Trace ``model`` and hold it against all that is promised, at random widths."""
    image = example(name, side)
    start = time.perf_counter()
    prunable = trace(model, image)
    traced = time.perf_counter()
    report = Report(
        name, len(prunable.groups), len(prunable.locked), traced - start, planning_s(prunable)
    )
    random = np.random.default_rng(0)
    model = prunable.model  # with an attention of ours in place of torch's
    double = copy.deepcopy(model).double()
    with torch.no_grad():
        whole = tensors(model(image))
    for number in range(vectors):
        widths, scores = random_choice(prunable, random)
        report.vectors += 1
        pruned = prunable.pruned(widths, scores)
        kept = prunable.kept_channels(widths, scores)
        with torch.no_grad():
            report.seen += relative(tensors(pruned(image)), whole) > 1e-3
        error = disagreement(model, pruned, prunable, kept, image)
        report.error_fp32 = max(report.error_fp32, error)
        exact = double_pruned(prunable, double, widths, scores)
        error = disagreement(double, exact, prunable, kept, image.double())
        report.error_fp64 = max(report.error_fp64, error)
        report.workloads_equal += all(
            workloads_equal(prunable, widths, pruned, fusion)
            for fusion in (Fusion(), FUSIONS["onnxruntime"])
        )
        if number < onnx:
            report.onnx_tried += 1
            report.onnx_error = max(report.onnx_error, onnx_disagreement(pruned, image))
        report.trained += trains(pruned, image)
    return report


def random_choice(
    prunable: PrunableModel, random: np.random.Generator
) -> tuple[dict[str, int], Scores]:
    """Draw a width for every group, and scores that decide which channels stay."""
    widths = {
        name: int(random.integers(1, group.width // group.step + 1)) * group.step
        for name, group in prunable.groups.items()
    }
    return widths, {name: random.random(group.width) for name, group in prunable.groups.items()}


def double_pruned(
    prunable: PrunableModel, double: nn.Module, widths: dict[str, int], scores: Scores
) -> nn.Module:
    """Prune the network in float64."""
    exact = copy.copy(prunable)
    exact.model = double
    return exact.pruned(widths, scores)


def disagreement(
    model: nn.Module,
    pruned: nn.Module,
    prunable: PrunableModel,
    kept: dict[str, NDArray[np.intp]],
    image: Tensor,
) -> float:
    """Return how far ``pruned`` is from the original given zeros, relative to its output."""
    with torch.no_grad():
        got = tensors(pruned(image))
        with zeros_for_removed(model, prunable, kept):
            wanted = tensors(model(image))
    return relative(got, wanted)


@contextmanager
def zeros_for_removed(
    model: nn.Module, prunable: PrunableModel, kept: dict[str, NDArray[np.intp]]
) -> Iterator[None]:
    """While open, every layer that mixes channels reads zeros where one was removed."""
    gone: dict[str, list[int]] = {}
    for group, steps in kept.items():
        for slot in prunable._slots[group]:
            if slot.side == "in":
                gone.setdefault(slot.module, []).extend(np.delete(slot.indices, steps, 0).ravel())

    def hook(positions: list[int]) -> Callable[[nn.Module, tuple[Tensor, ...]], Tensor]:
        def zeroed(module: nn.Module, given: tuple[Tensor, ...]) -> Tensor:
            dim = -1 if isinstance(module, nn.Linear) else 1
            return given[0].index_fill(dim, torch.tensor(positions), 0.0)

        return zeroed

    hooks = [
        model.get_submodule(name).register_forward_pre_hook(hook(positions))
        for name, positions in gone.items()
    ]
    try:
        yield
    finally:
        for handle in hooks:
            handle.remove()


def workloads_equal(
    prunable: PrunableModel, widths: dict[str, int], pruned: nn.Module, fusion: Fusion
) -> bool:
    """Whether the workloads predicted for ``widths`` are those of the pruned network.

    Copies are left out: where a single head is left, tensors lie in memory as they are wanted.
    """
    recorded, _ = record_operations(pruned, prunable.example_input)
    known = [one for one in prunable.operations.operations if one.kind not in COPIES]
    executed = [one for one in recorded if one.kind not in COPIES]
    if len(known) != len(executed):
        return False
    noted = {id(one): sides_noted(other) for one, other in zip(executed, known, strict=True)}
    operations = [
        replace(one, detail={**without_sides(one), **noted.get(id(one), {})}) for one in recorded
    ]
    traced = [workload(unit, operations) for unit in fuse(operations, fusion)]
    predicted = workload_map(prunable.operations, fusion).at(prunable.vector(widths))
    return counted(traced) == counted(predicted)


def counted(workloads: Iterable[Workload]) -> Counter[Workload]:
    """How often each workload is executed, copies left out."""
    return Counter(one for one in workloads if one.kind not in COPIES)


SIDES = ("channels", "read", "along_input")


def sides_noted(operation: Operation) -> dict[str, Any]:
    """Which sides of its tensors follow the widths; only a trace knows."""
    return {name: operation.detail[name] for name in SIDES if name in operation.detail}


def without_sides(operation: Operation) -> dict[str, Any]:
    """The rest of what is noted of it."""
    return {name: value for name, value in operation.detail.items() if name not in SIDES}


def onnx_disagreement(pruned: nn.Module, image: Tensor) -> float:
    """Return how far the ONNX export is from torch, relative to the output."""
    graph = exported_program(pruned, image, optimize=True).model_proto.SerializeToString()
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    outputs = session.run(None, {session.get_inputs()[0].name: image.numpy()})
    with torch.no_grad():
        wanted = tensors(pruned(image))
    return relative([torch.from_numpy(output) for output in outputs], wanted)


def trains(pruned: nn.Module, image: Tensor) -> bool:
    """Whether a training step changes the pruned network's weights, and leaves them finite."""
    model = copy.deepcopy(pruned).train()
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1e-6)
    images = torch.cat([image, image.flip(-1)])
    means = [tensor.square().mean() for tensor in tensors(model(images))]
    torch.autograd.backward(torch.stack(means).sum())
    optimizer.step()
    changed = any(p.grad is not None and bool(p.grad.any()) for p in model.parameters())
    return changed and all(bool(p.isfinite().all()) for p in model.parameters())


class MacsAsLatency(LatencyPredictor):
    """A table-less predictor for planning: 1e9 multiply-accumulates a ms."""

    def __init__(self, prunable: PrunableModel) -> None:
        self._prunable = prunable

    def batch_or_nan(self, rows: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return ``(B,)`` ms."""
        values: NDArray[np.float64] = Costs(self._prunable, self).batch("macs", rows) / 1e9
        return values


def planning_s(prunable: PrunableModel) -> float:
    """Return how long one iteration's proposals take, with MACs in place of a latency table."""
    grid = WidthGrid(prunable.widths, 8, 0.1, steps_of(prunable))
    costs = Costs(prunable, MacsAsLatency(prunable))
    now = float(costs.batch("ms", prunable.vector({})[None])[0])
    start = time.perf_counter()
    one_group_each(prunable.widths, grid, costs, {"ms": 0.98 * now})
    return time.perf_counter() - start


def steps_of(prunable: PrunableModel) -> dict[str, int]:
    """The step of every group."""
    return {name: group.step for name, group in prunable.groups.items()}


def tensors(output: Any) -> list[Tensor]:
    """All tensors of an output, whatever holds them."""
    if isinstance(output, Tensor):
        return [output]
    parts = output.values() if isinstance(output, dict) else output
    return [tensor for part in parts for tensor in tensors(part)]


def relative(got: list[Tensor], wanted: list[Tensor]) -> float:
    """Return the largest difference relative to the largest value; inf where shapes differ."""
    if [tensor.shape for tensor in got] != [tensor.shape for tensor in wanted]:
        return float("inf")
    scale = max(1e-12, *(float(tensor.abs().max()) for tensor in wanted))
    error = max(float((a - b).abs().max()) for a, b in zip(got, wanted, strict=True)) / scale
    return error if np.isfinite(error) else float("inf")


def checked_by_name(name: str, vectors: int, onnx: int) -> Report:
    """Build and check one of ``BUILDERS``."""
    torch.set_num_threads(1)
    return checked(name, network(name), vectors, onnx)


def unfinished(rows: dict[str, dict[str, Any]], vectors: int, onnx: int) -> list[str]:
    """Return the networks of which fewer vectors were tried."""
    done = {n for n, row in rows.items() if row["vectors"] >= vectors and row["onnx_tried"] >= onnx}
    return [name for name in BUILDERS if name not in done]


def main() -> None:
    """Check the networks named, or those that have no finished row, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("networks", nargs="*", metavar="NETWORK")
    parser.add_argument("--vectors", type=int, default=25)
    parser.add_argument("--onnx", type=int, default=25)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    path = options.out / "surgery.csv"
    rows = read_rows(path)
    names = options.networks or unfinished(rows, options.vectors, options.onnx)
    check = partial(checked_by_name, vectors=options.vectors, onnx=options.onnx)
    with Pool(1, maxtasksperchild=1) as pool:  # the exporter keeps what it has traced
        for report in pool.imap(check, names):
            rows[report.network] = asdict(report) | {"holds": report.holds}
            print(rows[report.network], flush=True)
            pd.DataFrame(rows.values()).to_csv(path, index=False, float_format="%.3g")


if __name__ == "__main__":
    main()
