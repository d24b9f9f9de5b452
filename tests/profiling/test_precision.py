"""Tables at the precision that is deployed."""

from pathlib import Path

import numpy as np
import pytest
import torch
from quick_profile import BRIEFEST, Stages
from torch import Tensor, nn

from netadapt.errors import UserError
from netadapt.latency.predictor import LatencyPredictor
from netadapt.latency.table import LatencyTable
from netadapt.latency.target import Options, Target
from netadapt.latency.workloads import workload_map
from netadapt.profiling.agent import host
from netadapt.profiling.agent.precision import INSTRUCTIONS, KNOWN, PRECISIONS, problem
from netadapt.profiling.devices import load_device
from netadapt.profiling.measurement import measure
from netadapt.profiling.profiler import profile
from netadapt.profiling.runtimes import load_runtime
from netadapt.profiling.shared_weights import Graphs
from netadapt.profiling.traced import TracedNetwork
from netadapt.pruning import PrunableModel, trace

ON_CPU = [
    (runtime, precision)
    for runtime, known in PRECISIONS.items()
    for precision in known
    if precision not in ("fp32", "fp16") and runtime != "executorch"  # in its own file
]


@pytest.fixture(autouse=True)
def able(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every CPU computes all of it, some slowly."""
    monkeypatch.setattr(host, "cpu_features", lambda: set(KNOWN))


def target(runtime: str, precision: str) -> Target:
    return load_device("cpu").target(load_runtime(runtime), Options.parse(precision=precision))


@pytest.mark.parametrize("precision", INSTRUCTIONS)
def test_one_of_the_instructions_is_enough(precision: str) -> None:
    for name in INSTRUCTIONS[precision]:
        assert problem("openvino", precision, {name}) is None


def test_what_the_cpu_or_the_runtime_lacks_is_said_in_one_line() -> None:
    line = problem("openvino", "bf16", {"avx2", "avx512f", "avx512_vnni", "sse4_2"})
    assert line == (
        "--precision bf16 needs a CPU with one of avx512_bf16, amx_bf16, bf16; "
        "this one has avx2, avx512_vnni, avx512f; use --precision fp32, or another CPU"
    )
    assert "known: fp32, int8" in str(problem("onnxruntime", "bf16", KNOWN))
    assert "known: fp32" in str(problem("tvm", "int8", KNOWN))
    assert problem("tvm", "fp32", ()) is None


@pytest.mark.parametrize(
    ("cpuinfo", "found"),
    [
        ("processor : 0\nflags\t\t: fpu avx2 avx512_vnni\n\nprocessor : 1\n", {"avx512_vnni"}),
        ("processor\t: 0\nFeatures\t: fp asimd asimdhp asimddp\n", {"asimdhp", "asimddp"}),
        ("processor : 0\n", set()),
    ],
)
def test_the_features_are_those_of_the_first_processor(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, cpuinfo: str, found: set[str]
) -> None:
    monkeypatch.undo()
    (tmp_path / "cpuinfo").write_text(cpuinfo)
    monkeypatch.setattr(host, "CPUINFO", tmp_path / "cpuinfo")
    interesting = {name for names in INSTRUCTIONS.values() for name in names}
    assert host.cpu_features() & interesting == found
    refused = set(INSTRUCTIONS["int8"]).isdisjoint(found)
    if refused:
        with pytest.raises(UserError, match="--precision int8 needs a CPU with one of"):
            target("onnxruntime", "int8")
    else:
        assert target("onnxruntime", "int8").precision == "int8"


@pytest.mark.parametrize(("runtime", "precision"), ON_CPU)
def test_every_operation_is_timed_and_the_network_too(
    small: PrunableModel, runtime: str, precision: str
) -> None:
    here = target(runtime, precision)
    assert here.fusion is not None
    mapped = workload_map(small.operations, here.fusion, here.dtype)
    session = (
        load_runtime(runtime)
        .loader(TracedNetwork.of(small), here)
        .profiled_session(
            small.pruned({name: max(8, width // 2) for name, width in small.widths.items()})
        )
    )
    for _ in range(4):
        session.run()
    microseconds = np.median(session.operation_us(), axis=0)
    assert all(microseconds[list(unit.members)].sum() > 0 for unit in mapped.units)
    assert measure(small.model, small.example_input, here, runs=5).p50_ms > 0


class Normalised(nn.Module):
    """Normalises the image itself."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor([0.5, 0.4, 0.3]).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor([0.2, 0.21, 0.22]).view(1, 3, 1, 1))
        self.stem = nn.Sequential(nn.Conv2d(3, 32, 3, 2, 1), nn.ReLU(), nn.Conv2d(32, 32, 1))
        self.head = nn.Conv2d(32, 1, 1)

    def forward(self, image: Tensor) -> Tensor:
        return self.head(torch.relu(self.stem((image - self.mean) / self.std)))


@pytest.mark.parametrize(
    ("runtime", "precision"), [("onnxruntime", "int8"), ("openvino", "int8"), ("openvino", "fp32")]
)
def test_the_normalisation_of_an_image_is_timed(runtime: str, precision: str) -> None:
    prunable = trace(Normalised().eval(), torch.rand(1, 3, 32, 32))
    here = target(runtime, precision)
    assert here.fusion is not None
    mapped = workload_map(prunable.operations, here.fusion, here.dtype)
    kinds = [one.kind for one in mapped.at(prunable.vector({}))]
    merged = ["sub"] if runtime == "openvino" else ["sub", "div"]
    assert kinds[: kinds.index("conv2d")] == merged
    loader = load_runtime(runtime).loader(TracedNetwork.of(prunable), here)
    session = loader.profiled_session(prunable.pruned(dict.fromkeys(prunable.widths, 16)))
    for _ in range(4):
        session.run()
    microseconds = np.median(session.operation_us(), axis=0)
    assert all(microseconds[list(unit.members)].sum() > 0 for unit in mapped.units)


def test_an_int8_table_is_filled_and_predicts(small: PrunableModel, tmp_path: Path) -> None:
    here = target("onnxruntime", "int8")
    table = LatencyTable.open(tmp_path, here)
    profile(small, table, Stages(), BRIEFEST)
    assert {one.dtype for one in table.rows} == {"int8"}
    assert table.folder.name.endswith("-int8-b1")
    again = LatencyTable.load(table.folder)
    assert again.target.fusion == here.fusion
    predictor = LatencyPredictor(small, again)
    narrow = {name: max(8, width // 4) for name, width in small.widths.items()}
    assert 0 < predictor(narrow) < predictor({})


def test_int8_graphs_travel_with_the_beginnings_of_the_full_weights(small: PrunableModel) -> None:
    graphs, plain = Graphs(small, "int8"), Graphs(small)
    full, quantised = (len(one.common_files["weights.bin"]) for one in (plain, graphs))
    assert quantised < 0.5 * full
    _, narrow = graphs.at(small.vector(dict.fromkeys(small.widths, 8)))
    assert len(narrow) < 40_000
    assert narrow.count(b"QuantizeLinear") > 10


def test_bf16_rounds(small: PrunableModel) -> None:
    """OpenVINO's own answers differ in the third digit, not in the seventh."""
    pytest.importorskip("openvino")
    answers = {}
    for precision in ("fp32", "bf16"):
        here = target("openvino", precision)
        loader = load_runtime("openvino").loader(TracedNetwork.of(small), here)
        session = loader.session(small.model)
        answers[precision] = torch.from_numpy(session.output())  # type: ignore[attr-defined]
    torch.testing.assert_close(answers["bf16"], answers["fp32"], rtol=0.05, atol=0.05)
