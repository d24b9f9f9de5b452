"""Three ways to time a workload, and how well each predicts whole networks.

python benchmarks/table_methods.py [THREADS]

The same 25 designed FastDepths (224x224, onnxruntime) fill three tables: from each workload run
alone in a graph of its own; by difference, as the time of the network up to and with the
workload less the time up to it; and from the runtime's own profile of the whole network. Each
table is interpolated and calibrated alike (12 networks) and held against 30 other networks.
"""

import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
import onnx
import torch
from numpy.typing import NDArray

from netadapt import load_model, trace
from netadapt.latency import working_set
from netadapt.latency.calibration import CalibrationFit, NetworkSums, calibrated_ms
from netadapt.latency.channel_steps import best_steps
from netadapt.latency.fusion import FUSIONS
from netadapt.latency.surfaces import Surfaces
from netadapt.latency.workloads import Workload, workload_map
from netadapt.profiling.agent.onnxruntime import OnnxSession, ProfiledOnnxSession
from netadapt.profiling.agent.session import operation_of
from netadapt.profiling.agent.timing import interleaved, operation_times
from netadapt.profiling.design import design_networks, extreme_networks, random_networks
from netadapt.profiling.onnx_model import OnnxTemplate
from netadapt.profiling.plan import with_typical_statistics
from netadapt.profiling.profiler import most_lengthened_us, typical_ms
from netadapt.profiling.runtimes import load_runtime
from netadapt.profiling.traced import TracedNetwork
from netadapt.pruning import Operation

LEVELS, ROUNDS, RUNS, CHUNK, KNOWN = 5, 4, 3, 46, 12
Row = NDArray[np.int64]
Samples = Iterable[tuple[Workload, float]]


class Networks:
    """FastDepth at any widths, as ONNX graphs and parts of them."""

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self.prunable = with_typical_statistics(
            trace(load_model("fastdepth"), torch.rand(1, 3, 224, 224))
        )
        self.runtime = load_runtime("onnxruntime")
        self.map = workload_map(self.prunable.operations, FUSIONS[self.runtime.name])
        self.template = OnnxTemplate(TracedNetwork.of(self.prunable))

    def proto(self, row: Row) -> onnx.ModelProto:
        widths = dict(zip(self.prunable.groups, row.tolist(), strict=True))
        return self.template.filled(self.prunable.pruned(widths))

    def session(self, proto: onnx.ModelProto) -> OnnxSession:
        shape = [d.dim_value for d in proto.graph.input[0].type.tensor_type.shape.dim]
        image = np.random.default_rng(0).random(shape, dtype=np.float32)
        return OnnxSession(proto.SerializeToString(), image, self.threads)


def part(
    whole: onnx.ModelProto, operations: Sequence[Operation], last: int, first: int | None
) -> onnx.ModelProto:
    """The graph that ends with operation ``last``; from operation ``first`` on, or from the start.

    With ``first`` what it reads of earlier operations becomes one input of the graph (a fused
    addition's other side is read from a constant).
    """
    producer = {name: node for node in whole.graph.node for name in node.output}
    initializers = {tensor.name: tensor for tensor in whole.graph.initializer}
    inputs: dict[str, onnx.ValueInfoProto] = {}
    constants: list[onnx.TensorProto] = []
    nodes: list[onnx.NodeProto] = []
    seen: set[str] = set()

    def visit(name: str) -> None:
        if not name or name in seen:
            return
        seen.add(name)
        place = operation_of(name)
        if name in initializers:
            constants.append(initializers[name])
        elif name == whole.graph.input[0].name or (
            first is not None and place is not None and place < first
        ):
            if name == whole.graph.input[0].name:
                shape = [d.dim_value for d in whole.graph.input[0].type.tensor_type.shape.dim]
            else:
                assert place is not None
                shape = list(operations[place].output)
            if inputs:
                values = np.random.default_rng(1).random(shape, dtype=np.float32)
                constants.append(onnx.numpy_helper.from_array(values, name))
            else:
                inputs[name] = onnx.helper.make_tensor_value_info(name, 1, shape)
        else:
            node = producer[name]
            for needed in node.input:
                visit(needed)
            nodes.append(node)

    output = f"netadapt_op{last}"
    visit(output)
    result = onnx.helper.make_tensor_value_info(output, 1, list(operations[last].output))
    graph = onnx.helper.make_graph(nodes, "part", list(inputs.values()), [result], constants)
    return onnx.helper.make_model(
        graph,
        opset_imports=whole.opset_import,
        ir_version=whole.ir_version,
        functions=whole.functions,
    )


def timed(networks: Networks, protos: Iterator[onnx.ModelProto]) -> Iterator[float]:
    """Median microseconds of each graph, timed in interleaved rounds of ``CHUNK`` graphs."""
    order = np.random.default_rng(0)
    waiting: list[OnnxSession] = []

    def finish() -> Iterator[float]:
        seconds = interleaved(waiting, ROUNDS, RUNS, order=order).seconds
        yield from (typical_ms(seconds) * 1000).tolist()
        waiting.clear()

    for proto in protos:
        waiting.append(networks.session(proto))
        if len(waiting) == CHUNK:
            yield from finish()
    if waiting:
        yield from finish()


def alone(networks: Networks, rows: NDArray[np.int64]) -> Samples:
    wanted: dict[Workload, tuple[Row, int]] = {}
    for row in rows:
        for place, workload in enumerate(networks.map.at(row)):
            wanted.setdefault(workload, (row, place))

    def protos() -> Iterator[onnx.ModelProto]:
        for row, place in wanted.values():
            unit = networks.map.units[place]
            operations = networks.map.operations.at(row)
            yield part(networks.proto(row), operations, unit.members[-1], unit.main)

    return zip(wanted, timed(networks, protos()), strict=True)


def by_difference(networks: Networks, rows: NDArray[np.int64]) -> Samples:
    def protos() -> Iterator[onnx.ModelProto]:
        for row in rows:
            operations, whole = networks.map.operations.at(row), networks.proto(row)
            for unit in networks.map.units:
                yield part(whole, operations, unit.members[-1], None)

    times = np.array(list(timed(networks, protos()))).reshape(len(rows), -1)
    for row, upto in zip(rows, times, strict=True):
        yield from zip(networks.map.at(row), np.diff(upto, prepend=0.0).tolist(), strict=True)


def profiled(networks: Networks, rows: NDArray[np.int64]) -> Samples:
    base = rows.max(axis=0)

    def session(row: NDArray[np.int64]) -> ProfiledOnnxSession:
        return ProfiledOnnxSession(
            networks.proto(row).SerializeToString(),
            networks.template.example,
            networks.threads,
            operations=networks.template.operation_count,
        )

    every = operation_times(
        map(session, rows), 7, ROUNDS, RUNS, np.random.default_rng(0), lambda: session(base)
    )
    for row, runs in zip(rows, every, strict=True):
        medians = np.median(runs.us, axis=0)
        for unit, workload in zip(networks.map.units, networks.map.at(row), strict=True):
            yield workload, float(medians[list(unit.members)].sum())


def report(
    networks: Networks, name: str, method: Callable[[Networks, NDArray[np.int64]], Samples],
    design: NDArray[np.int64], whole: NDArray[np.int64], measured_ms: NDArray[np.float64],
) -> None:  # fmt: skip
    start = time.perf_counter()
    samples: dict[Workload, list[float]] = defaultdict(list)
    for workload, microseconds in method(networks, design):
        samples[workload].append(microseconds)
    seconds = time.perf_counter() - start
    latencies = {workload: float(np.median(values)) for workload, values in samples.items()}
    steps = best_steps(latencies)
    nets = [networks.map.at(row) for row in whole]
    weights_mb, inputs_mb = working_set.of_networks(nets)
    count = len(networks.map.units)
    summed = Surfaces(latencies, steps).sums(nets)
    sums = NetworkSums(summed, weights_mb, weights_mb + inputs_mb, count)
    raw = summed[KNOWN:] / 1000 / measured_ms[KNOWN:]
    fit = CalibrationFit("call", most_lengthened_us(nets[0], latencies), steps)
    fitted = fit(sums.part(np.arange(KNOWN)), measured_ms[:KNOWN])
    error = calibrated_ms(fitted, sums)[KNOWN:] / measured_ms[KNOWN:] - 1
    print(
        f"| {name} | {seconds:.0f} | {np.median(raw):.2f} | {fitted.scale:.2f} | "
        f"{fitted.call_us + count * fitted.workload_us:.0f} | {np.abs(error).mean() * 100:.2f} | "
        f"{np.abs(error).max() * 100:.1f} |",
        flush=True,
    )


def main() -> None:
    networks = Networks(int(sys.argv[1]) if len(sys.argv) > 1 else 1)
    widths = networks.prunable.widths
    design = design_networks(networks.map, widths, 8, LEVELS)
    whole = random_networks(widths, KNOWN + 30, 8, np.random.default_rng(1))
    whole[:2] = extreme_networks(widths, 8)
    sessions = [networks.session(networks.proto(row)) for row in whole]
    timing = interleaved(sessions, 12, 3, order=np.random.default_rng(0))
    measured_ms = typical_ms(timing.seconds)
    print(f"{networks.threads} thread(s), {len(design)} designed networks")
    print("| method | seconds | sum / clock | scale | fixed us | error % | largest % |")
    print("|---|---|---|---|---|---|---|")
    for name, method in (
        ("alone", alone), ("by difference", by_difference), ("runtime's profile", profiled)
    ):  # fmt: skip
        report(networks, name, method, design, whole, measured_ms)


if __name__ == "__main__":
    main()
