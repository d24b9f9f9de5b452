import ast
import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from netadapt.errors import UserError
from netadapt.latency.target import Options
from netadapt.profiling import agent
from netadapt.profiling.agent.job import read_job, run_job
from netadapt.profiling.agent.runtimes import BOARD_RUNTIMES, BoardError
from netadapt.profiling.agent_file import agent_archive, agent_files, agent_name
from netadapt.profiling.devices.remote import (
    Board,
    Files,
    Record,
    RemoteBench,
    job_of,
    operations_stage,
    whole_stage,
)
from netadapt.profiling.shared_weights import Graphs
from netadapt.pruning import PrunableModel

FILES = sorted(Path(agent.__file__).parent.glob("*.py"))
PACKAGES = {
    "host": {"pynvml"},
    "onnxruntime": {"onnxruntime"},
    "openvino": {"openvino"},
    "tvm": {"tvm", "tvm_ffi", "onnx"},
}
ROUNDS = 3


@pytest.fixture
def job(graphs: Graphs, small: PrunableModel, tmp_path: Path) -> Path:
    """A folder that asks for three networks operation by operation, then whole."""
    full = np.array(list(small.widths.values()))
    made = [graphs.at(np.maximum(8, full // share // 8 * 8)) for share in (1, 2, 4)]
    names = [name for name, _ in made]
    stages = [operations_stage(names, names[0], 2, 1, 2), whole_stage(names, ROUNDS, 2)]
    files = {**graphs.common_files, **dict(made)}
    files.update(job_of("onnxruntime", Options(), graphs.operations, stages))
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


def annotated(tree: ast.Module) -> bool:
    return any(
        isinstance(node, ast.AnnAssign)
        or getattr(node, "annotation", None)
        or getattr(node, "returns", None)
        for node in ast.walk(tree)
    )


def journal(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]


def units(records: list[dict]) -> list[tuple]:
    return [(record["stage"], record.get("graph", record.get("round"))) for record in records]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_agent_is_python_3_8_and_needs_only_numpy_and_a_runtime(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 8))
    first = next((node for node in tree.body if isinstance(node, ast.ImportFrom)), None)
    assert not annotated(tree) or (first and first.module == "__future__")
    packages = PACKAGES.get(path.stem.split("_")[0], set())
    allowed = {*sys.stdlib_module_names, "netadapt", "numpy", *packages}
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            names = [str(node.module)]
        for name in names:
            assert name.split(".")[0] in allowed, f"{path} imports {name}"
            assert not name.startswith("netadapt") or name.startswith("netadapt.profiling.agent")


def test_the_agents_file_holds_every_module_and_is_the_same_each_time() -> None:
    held = {Path(name).name for name in agent_files() if "/agent/" in name}
    assert held == {path.name for path in FILES}
    before = agent_archive(), agent_name()
    for cached in (agent_files, agent_archive, agent_name):
        cached.cache_clear()
    assert (agent_archive(), agent_name()) == before


def started(tmp_path: Path, *words: str, python: tuple[str, ...] = ("-I",)):
    file = tmp_path / "agent.pyz"
    file.write_bytes(agent_archive())
    return subprocess.run(
        [sys.executable, *python, file, *words], capture_output=True, text=True, check=False
    )


def test_the_agent_describes_its_machine_in_one_object(tmp_path: Path) -> None:
    done = started(tmp_path, "describe", "--runtime", "onnxruntime")
    assert done.returncode == 0, done.stderr
    described = json.loads(done.stdout)
    assert described["runtime_version"] == BOARD_RUNTIMES["onnxruntime"].version()
    assert described["hardware"]
    assert described["cores"]


@pytest.mark.parametrize("runtime", BOARD_RUNTIMES)
def test_a_board_without_the_runtime_is_told_how_to_get_it(tmp_path: Path, runtime: str) -> None:
    done = started(tmp_path, "describe", "--runtime", runtime, python=("-I", "-S"))
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert f"-m pip install numpy {BOARD_RUNTIMES[runtime].package}" in line


def test_a_job_measures_every_unit_once_and_in_order(job: Path, graphs: Graphs) -> None:
    told: list[dict] = []
    records = run_job(job, told.append)
    operations, whole = read_job(job)["stages"]
    wanted = [(operations["key"], graph) for graph in operations["graphs"]]
    wanted += [(whole["key"], number) for number in range(ROUNDS)]
    assert units(records) == units(journal(job)) == wanted
    assert [one["loaded"] for one in told if "loaded" in one] == [1, 2, 3]
    us = np.array([record["us"] for record in records[:3]])
    assert us.shape == (3, 2, graphs.operations)
    assert (us.sum(axis=2) > 0).all()
    seconds = np.array([record["seconds"] for record in records[3:]])
    assert seconds.shape == (ROUNDS, 3, 2)
    assert (seconds > 0).all()


class LostError(Exception):
    pass


@pytest.mark.parametrize("after", range(1, 6))
def test_a_job_cut_off_anywhere_goes_on_and_measures_nothing_twice(job: Path, after: int) -> None:
    left = after

    def tell(record: dict) -> None:
        nonlocal left
        left -= "stage" in record
        if left == 0:
            raise LostError

    with pytest.raises(LostError):
        run_job(job, tell)
    kept = journal(job)
    assert len(kept) == after
    with (job / "results.jsonl").open("a") as file:
        file.write('{"stage": "to')  # what a kill leaves of the next line
    records = run_job(job, lambda record: None)
    assert records[:after] == kept
    assert journal(job) == records
    assert len(set(units(records))) == 3 + ROUNDS


def test_two_agents_in_one_folder_share_the_work(job: Path, tmp_path: Path) -> None:
    file = tmp_path / "agent.pyz"
    file.write_bytes(agent_archive())
    both = [
        subprocess.Popen([sys.executable, "-I", file, "run", job], stdout=subprocess.PIPE)
        for _ in range(2)
    ]
    said = [[json.loads(line) for line in one.communicate()[0].splitlines()] for one in both]
    found = [units([record for record in records if "stage" in record]) for records in said]
    assert found[0] == found[1] == units(journal(job))
    assert len(set(found[0])) == 3 + ROUNDS
    assert said[0][-1] == said[1][-1] == {"done": True}


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("threads", 100_000, "cannot use 100000 threads: the board has"),
        ("cores", [99_999], "cannot use core 99999: the board has"),
        ("runtime", "abacus", "does not know the runtime abacus"),
        ("format", 99, "of another version of netadapt"),
    ],
)
def test_a_job_that_the_board_cannot_do_is_refused(
    job: Path, field: str, value: object, words: str
) -> None:
    asked = json.loads((job / "job.json").read_text()) | {field: value}
    (job / "job.json").write_text(json.dumps(asked))
    with pytest.raises(BoardError, match=words):
        run_job(job, lambda record: None)
    assert not (job / "results.jsonl").exists()


def test_a_graph_that_the_runtime_cannot_load_is_named(job: Path) -> None:
    graph = read_job(job)["stages"][0]["graphs"][1]
    (job / graph).write_bytes(b"no graph")
    with pytest.raises(BoardError, match=f"onnxruntime cannot load {graph}: "):
        run_job(job, lambda record: None)


@pytest.mark.parametrize("runtime", BOARD_RUNTIMES)
def test_shared_weights_give_the_full_networks_own_output(
    small: PrunableModel, graphs: Graphs, tmp_path: Path, runtime: str
) -> None:
    pytest.importorskip(runtime)
    name, content = graphs.at(np.array(list(small.widths.values())))
    assert len(content) < 20_000
    for file, data in {**graphs.common_files, name: content}.items():
        (tmp_path / file).write_bytes(data)
    example = np.load(tmp_path / "input.npy")
    options = {"threads": 1, "provider": "", "precision": "fp32"}
    session: Any = BOARD_RUNTIMES[runtime].load(str(tmp_path / name), example, options)
    wanted = small.model(small.example_input).detach().numpy()
    assert session.output() == pytest.approx(wanted, abs=1e-4)


class InProcess(Board):
    """A board whose agent runs in this process, and tells everything twice."""

    def __init__(self, folder: Path, spoil: Callable[[dict], dict]) -> None:
        self._folder = folder
        self._spoil = spoil

    def run(self, files: Files) -> Iterator[Record]:
        for name, content in files.items():
            (self._folder / name).write_bytes(content)
        for record in run_job(self._folder, lambda record: None):
            yield from [self._spoil(record)] * 2


def bench(graphs: Graphs, folder: Path, spoil: Callable[[dict], dict] = lambda r: r) -> RemoteBench:
    for name, content in graphs.common_files.items():
        (folder / name).write_bytes(content)
    return RemoteBench(graphs, InProcess(folder, spoil), "onnxruntime", Options())


def test_rows_come_in_order_even_when_asked_or_told_twice(
    graphs: Graphs, small: PrunableModel, tmp_path: Path
) -> None:
    row = np.array([list(small.widths.values())])
    rows = np.vstack([row, row // 2, row])
    timed = list(bench(graphs, tmp_path).operations(rows, 2, 1, 2))
    assert timed[0].us.shape == timed[1].us.shape == (2, graphs.operations)
    assert (timed[0].us == timed[2].us).all()
    assert timed[0].reference_us == timed[1].reference_us > 0  # the base, timed beside both
    steps: list[None] = []
    timing = bench(graphs, tmp_path).whole(rows, 2, 3, lambda: steps.append(None))
    assert timing.seconds.shape == timing.runs.shape == (3, 2, 3)
    assert len(steps) == 3 + 2


@pytest.mark.parametrize(
    "spoiled",
    [
        {"us": [[1.0]]},
        {"us": "fast"},
        {"us": None},
        {"reference_us": 0.0},
        {"seconds": [[-1.0]]},
        {"seconds": [[1e999]]},
    ],
)
def test_a_board_that_sends_no_measurement_is_refused(
    graphs: Graphs, small: PrunableModel, tmp_path: Path, spoiled: dict
) -> None:
    made = bench(graphs, tmp_path, lambda record: {**record, **spoiled})
    row = np.array([list(small.widths.values())])

    def measured() -> object:
        if "seconds" not in spoiled:
            return list(made.operations(row, 1, 1, 1))
        return made.whole(row, 1, 1, lambda: None)

    with pytest.raises(UserError, match="sent what is no measurement"):
        measured()
