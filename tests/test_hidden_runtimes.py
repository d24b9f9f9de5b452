"""What needs a table alone works where no runtime is installed but PyTorch."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import tiny_network

from netadapt.factories import TRUST
from netadapt.latency.calibration import NetworkCalibration
from netadapt.latency.fusion import FUSIONS
from netadapt.latency.predictor import LatencyPredictor
from netadapt.latency.table import Latency, LatencyTable
from netadapt.latency.target import Target
from netadapt.latency.workloads import workload_map
from netadapt.profiling.design import design_networks
from netadapt.pruning import PrunableModel, trace
from netadapt.training.checkpoint import load_model, save_checkpoint

FIXTURES = Path(__file__).parent / "fixtures"
WHERE = os.pathsep.join(sys.path)  # for the module of the network
SIZE = (64, 64)
# runs commands with the runtimes' packages hidden, and prints each exit code
HIDING = """
import json, sys
from importlib.machinery import PathFinder

HIDDEN = {"openvino", "onnxruntime", "executorch", "tvm"}
find = PathFinder.find_spec
PathFinder.find_spec = lambda name, path=None, target=None: (
    None if name.partition(".")[0] in HIDDEN else find(name, path, target)
)
from netadapt.cli.main import main
for words in json.load(sys.stdin):
    sys.argv = ["netadapt", *words]
    try:
        code = main()
    except SystemExit as exit:
        code = exit.code
    print("EXIT", code or 0, *words, flush=True)
"""


@pytest.fixture(scope="module")
def network() -> PrunableModel:
    """A network with what matters to a runtime, and no more."""
    _, example = tiny_network.tiny()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(TRUST, "tiny_network")
        return trace(load_model("tiny_network:Tiny").eval(), example)


@pytest.fixture(scope="module")
def board(network: PrunableModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a network and tables as boards with every runtime would make them."""
    folder = tmp_path_factory.mktemp("board")
    save_checkpoint(network.model, folder / "tiny.safetensors", input_size=SIZE)
    calibration = NetworkCalibration(scale=1, call_us=10, workload_us=0, networks=9)
    for runtime, fusion in FUSIONS.items():
        unmoved = fusion.model_copy(update={"upsampling_last": False})
        maps = [workload_map(network.operations, rules) for rules in (fusion, unmoved)]
        wanted = {
            one
            for mapped in maps
            for row in design_networks(mapped, network.widths, 8)
            for one in mapped.at(row)
        }
        target = Target(hardware="a board", runtime=runtime, calibrations=(calibration,))
        for name, rules in ((runtime, fusion), (f"{runtime}-older", None)):
            recorded = target.model_copy(update={"fusion": rules})
            table = LatencyTable(folder / "lut" / name, recorded, {})
            table.append({one: Latency(9.0, 10.0 + one.out_channels, 999.0, 9) for one in wanted})
    return folder


@pytest.fixture(scope="module")
def done(network: PrunableModel, board: Path, stock: Path) -> "subprocess.CompletedProcess[str]":
    """All commands, run in the folder ``board`` by one process that finds no runtime."""
    commands = [["lut", "list"], ["lut", "diff", "onnxruntime", "openvino"]]
    for table in sorted(path.name for path in (board / "lut").iterdir()):
        commands.append(["lut", "show", table])
        commands.append(["info", "tiny.safetensors", "--lut", f"lut/{table}", "--json"])
    results = FIXTURES / "bundle-results-format1.json"
    commands.append(["profile-lut", "--import", str(results), "--lut", "imported"])
    for runtime in FUSIONS:
        predictor = LatencyPredictor(network, LatencyTable.load(board / "lut" / runtime))
        words = f"""search --checkpoint tiny.safetensors --data pairs:{stock}/pairs
            --lut lut/{runtime} --out out-{runtime} --budget-ms {0.97 * predictor({})}
            --short-steps 0 --long-steps 0 --long-points 1 --batch-size 2 --strategy uniform"""
        commands.append(words.split())
    return subprocess.run(
        [sys.executable, "-c", HIDING],
        input=json.dumps(commands),
        cwd=board,
        env={**os.environ, "NO_COLOR": "1", TRUST: "tiny_network", "PYTHONPATH": WHERE},
        capture_output=True,
        text=True,
        check=False,
    )


def codes(done: "subprocess.CompletedProcess[str]", *command: str) -> dict[str, int]:
    """The exit codes of the commands that begin with ``command``."""
    lines = [line.split(maxsplit=2) for line in done.stdout.splitlines() if line[:5] == "EXIT "]
    found = {words: int(code) for _, code, words in lines if words.startswith(" ".join(command))}
    assert found, done.stderr
    return found


def test_tables_of_every_runtime_are_shown_and_predict(
    board: Path, done: "subprocess.CompletedProcess[str]"
) -> None:
    shown, informed = codes(done, "lut", "show"), codes(done, "info")
    assert len(shown) == len(informed) == 2 * len(FUSIONS) == len(list((board / "lut").iterdir()))
    for found in (shown, informed, codes(done, "lut", "list"), codes(done, "lut", "diff")):
        assert not any(found.values()), done.stderr


def test_results_of_a_board_are_imported(
    board: Path, done: "subprocess.CompletedProcess[str]"
) -> None:
    assert not any(codes(done, "profile-lut").values()), done.stderr
    (table,) = (board / "imported").iterdir()
    rules = FUSIONS["onnxruntime"].model_copy(update={"upsampling_last": False})
    assert LatencyTable.load(table).target.fusion == rules


def test_searches_walk_on_the_tables_of_boards(
    board: Path, done: "subprocess.CompletedProcess[str]"
) -> None:
    assert not any(codes(done, "search").values()), done.stderr
    for runtime in FUSIONS:
        assert (board / f"out-{runtime}" / "pareto.csv").exists()
