"""Values that cannot be, in every file that a user may get from others, and on the command line.

Each is refused in one line that names the file and what is wrong in it, with exit code 2, and
nothing is written (``CommandLine.refused`` checks all of that).
"""

import json
import shutil

import pytest
from safetensors import safe_open
from safetensors.torch import save_file

from netadapt.latency.table import COLUMNS

HUGE = "9" * 20
IN_A_ROW = {
    "p50_us": ["0", "-1", "nan", "inf", "1e-300", "1e300", "abc", "", "0x1", "\u0661"],
    "p10_us": ["-1", "1e9"],
    "p90_us": ["0.01", "1e11"],
    "runs": ["0", "-1", "1.5", HUGE, "x", ""],
    "out_channels": ["0", "-3", HUGE, "x", "", "1_0"],
    "inputs": ["", "x", "1x", "1x3xx", f"1x{HUGE}x32x32", "1x3x32x32+", "-"],
    "kernel": ["3x", "x", HUGE],
    "groups": ["0", "-1", HUGE, ""],
    "kind": ["", "a b", "../x"],
    "dtype": ["", "FLOAT", "a b"],
    "activation": ["a;b", "a b"],
}
IN_THE_TARGET = {
    "format": [2, "1", None],
    "threads": [0, -1, 5000, "two", 1.5],
    "batch": [0, 10**9],
    "precision": ["fp64", 1],
    "cpus": ["1-0", "x", "1--2", "0,", HUGE, "70000"],
    "provider": ["tpu"],
    "tune": [-1],
    "clock": [["a"], {"a": 5}],
    "protocol": [{"model": {"a": 1}}, "x"],
    "hardware": ["x" * 1000, 5],
    "date": [5],
    "fusion": ["x", {"a": 1}],
    "latency_bytes": [-1],
    "latency_crc32": [2**33, -1],
    "nonsense": [1],
}
IN_A_CALIBRATION = {
    "scale": [0, -1, 11, "x", None],
    "call_us": [-1, 1e300],
    "workload_us": [-1e300, 1e300, "x"],
    "networks": [0, -1],
    "nonsense": [1],
}
IN_A_CHECKPOINT = {
    "format": [2, None],
    "model": ["", "x" * 300, 5, "no_such_network"],
    "options": [["a"], {"nonsense": 1}],
    "widths": [
        {"first": 0}, {"first": -8}, {"first": 10**9}, {"nonsense": 8}, {"first": 9999}, ["a"],
    ],
    "input_size": [[0, 32], [8192, 8192], [32], ["a", 32], [32, 32, 32]],
    "info": [["a"], {"a": [1]}],
    "checksum": ["zz", "00000000"],
    "nonsense": [1],
}  # fmt: skip
IN_A_RUN = {
    "format": [2],
    "model": [5, ""],
    "budget_ms": [-1, 0, "x", None],
    "seed": [-1, 1.5],
    "short_lr": [0, "x", 11],
    "strategy": ["luck"],
    "executor": ["slurm"],
    "decay": [2],
    "input_size": [[32], [0, 32], "32x32"],
    "metrics": ["x", [""]],
    "task_options": [["a"]],
    "nonsense": [1],
}
DEVICES = {
    "a = " + "[" * 5000 + "]" * 5000: "nested too deeply",
    "a = 5": "device a",
    "[a]": "device is missing",
    "[a]\ndevice = 5": "device is 5; give text",
    '[a]\ndevice = ""': "device is empty",
    '[a]\ndevice = "cpu"\nthreads = 0': "threads is 0; give 1 or more",
    '[a]\ndevice = "cpu"\ncpus = "1-0"': "1-0 counts downwards",
    '[a]\ndevice = "cpu"\nprecision = "fp64"': "precision is 'fp64'",
    '[a]\ndevice = "cpu"\nspeed = 3': "speed is not known",
    "": "names no device",
    "\udcff": "is no list of devices: it is not text in UTF-8, from byte 1 on",
}
SEARCH = (
    "search --checkpoint @small.safetensors --data pairs:@pairs --lut @lut/board --budget-ms 150 "
    "--out new"
)
TRAIN = "train --model @tiny.safetensors --data pairs:@pairs --input-size 32x32 --steps 1 --out new"
PROFILE = "profile-lut --model @small.safetensors --lut new"
BENCHMARK = "benchmark @small.safetensors"
ON_THE_COMMAND_LINE = {
    f"{SEARCH} --short-lr 11": "--short-lr 11.0: give a number above 0 and at most 10",
    f"{SEARCH} --decay 1.5": "--decay 1.5: give a number above 0 and at most 1",
    f"{SEARCH} --initial-reduction 0": "--initial-reduction 0.0: give a number above 0 and below 1",
    f"{SEARCH} --strategy luck": "--strategy luck: unknown strategy",
    f"{SEARCH} --batch-size 1": "--batch-size 1: give a whole number from 2 to 10,000",
    f"{SEARCH} --batch-size 1000000000": "--batch-size 1000000000: give a whole number from 2",
    f"{SEARCH} --address 127.0.0.1:1": "--address 127.0.0.1:1 is for executor ray, not inline",
    f"{SEARCH} --cpus-per-candidate 2": "--cpus-per-candidate 2 is for executor ray",
    f"{SEARCH} --gpus-per-candidate 0.5": "--gpus-per-candidate 0.5 is for executor ray",
    f"{SEARCH} --population 8": "--population 8 is for strategy evolution, not netadapt-fast",
    f"{SEARCH} --strategy netadapt-fast --candidates 3": "--candidates 3 is for strategy random",
    f"{SEARCH} --strategy uniform --saliency-batches 2": "--saliency-batches 2 is for strategies "
    "netadapt-fast, taylor and knapsack, not uniform",
    f"{SEARCH} --strategy random --select ratio": "--select ratio is for strategy netadapt",
    f"{SEARCH} --strategy taylor --importance l2": "--importance l2 is for strategies netadapt,",
    f"{SEARCH} --out a/../b": "a does not exist",
    f"{SEARCH} --out=": "--out is empty",
    f"{SEARCH} --task digits": "",
    f"{TRAIN} --batch-size 1000000000": "--batch-size 1000000000: give a whole number from 2",
    f"{TRAIN} --steps 1000000000000": "--steps 1000000000000: give a whole number from 1",
    f"{TRAIN} --momentum=-1": "--momentum -1.0: give a number of at least 0 and below 1",
    f"{TRAIN} --weight-decay=-1": "--weight-decay -1.0: give a number of at least 0",
    f"{TRAIN} --out a/../b": "a does not exist",
    f"{TRAIN} --out=": "--out is empty",
    f"{BENCHMARK} --runs 1{'0' * 21}": "--runs",
    f"{BENCHMARK} --cpus 1-0": "--cpus 1-0: 1-0 counts downwards; write 0-1",
    f"{BENCHMARK} --cpus 0-": "--cpus 0-: it does not match",
    f"{BENCHMARK} --cpus {HUGE}": "there is no core",
    f"{BENCHMARK} --tune 5": "--tune 5 is for runtime tvm, not onnxruntime",
    f"{BENCHMARK} --runtime torch --provider cuda": "--provider cuda is for runtime onnxruntime",
    f"{PROFILE} --tune 5": "--tune 5 is for runtime tvm, not onnxruntime",
    f"{PROFILE} --runtime torch --tune 5": "--tune 5 is for runtime tvm, not torch",
    f"{PROFILE} --cpus 1-0": "1-0 counts downwards",
    f"{PROFILE} --lut=": "--lut is empty",
    "profile-lut --model @small.safetensors --bundle new.zip --tune 5": "is for runtime tvm",
    "export @tiny.safetensors --out a/../b.onnx": "a does not exist",
    "export @tiny.safetensors --out=": "--out is empty",
    "evaluate @tiny.safetensors --task digits": "does not run on an input of shape (1, 1, 32, 32)",
    "evaluate fastdepth --input-size 32x32 --task digits": "does not run on an input",
    "evaluate @tiny.safetensors --task digits --data x": "has its own data",
    "info @tiny.safetensors --lut=": "--lut is empty",
    "plot @run --out=": "--out is empty",
}


def cases(table):
    return [(field, value) for field, values in table.items() for value in values]


@pytest.fixture
def table(netadapt, here):
    """A copy of a table, without the checksum that would find any change; change its target."""
    folder = here / "table"
    shutil.copytree(netadapt.stock / "lut/made-up", folder)

    def changed(**values):
        path = folder / "target.json"
        facts = json.loads(path.read_text()) | {"latency_bytes": None, "latency_crc32": None}
        path.write_text(json.dumps(facts | values))
        return facts

    changed()
    return changed


@pytest.mark.parametrize(("column", "value"), cases(IN_A_ROW))
def test_in_a_row_of_a_table(netadapt, here, table, column, value):
    path = here / "table/latency.csv"
    header, *rows, last = path.read_text().splitlines()
    fields = last.split(",")
    fields[COLUMNS.index(column)] = value
    path.write_text("\n".join([header, *rows, ",".join(fields)]) + "\n")
    line = netadapt.refused_at_once("lut show table")
    assert f"table/latency.csv line {len(rows) + 2} is damaged" in line


@pytest.mark.parametrize(("field", "value"), cases(IN_THE_TARGET))
def test_in_a_target(netadapt, table, field, value):
    table(**{field: value})
    line = netadapt.refused_at_once("lut show table")
    assert "table/target.json is not a target: " in line
    assert field in line
    assert "Input should" not in line


@pytest.mark.parametrize(("field", "value"), cases(IN_A_CALIBRATION))
def test_in_a_calibration(netadapt, table, field, value):
    (calibration,) = table()["calibrations"]
    table(calibrations=[calibration | {field: value}])
    line = netadapt.refused_at_once("lut show table")
    assert f"table/target.json is not a target: calibrations.0.{field} is" in line


@pytest.mark.parametrize("workload_us", [-1e6, -1e9])
def test_a_latency_that_no_network_takes_is_not_predicted(netadapt, table, workload_us):
    (calibration,) = table()["calibrations"]
    table(calibrations=[calibration | {"workload_us": workload_us}])
    for command in ("info @small.safetensors --lut table", SEARCH.replace("@lut/board", "table")):
        line = netadapt.refused_at_once(command)
        assert "table predicts -" in line
        assert "its calibration cannot be right" in line


@pytest.mark.parametrize("shape", ["1xx3", "0x0", "x32", 7, "1x3x-32x32", "99999999x9"])
def test_in_the_input_that_a_table_remembers(netadapt, table, shape):
    (calibration,) = table()["calibrations"]
    table(calibrations=[calibration | {"model": "fastdepth", "input": shape}])
    line = netadapt.refused_at_once("lut validate table")
    assert "table/target.json is not a target: calibrations.0.input is" in line


@pytest.mark.parametrize(
    ("shape", "said"),
    [
        ("7", "fastdepth remembers no input size; give one with --input-size HxW"),
        ("7x", "table/target.json is not a target: calibrations.0.input is"),
        ("1x0x8x8", "table/target.json is not a target: calibrations.0.input is"),
    ],
)
def test_in_the_protocol_of_an_older_table(netadapt, here, table, shape, said):
    """It has one calibration, and says in its protocol of which network."""
    path = here / "table/target.json"
    facts = json.loads(path.read_text())
    (calibration,) = facts.pop("calibrations")
    for name in ("model", "input"):
        calibration.pop(name, None)
    facts |= {"calibration": calibration, "protocol": {"model": "fastdepth", "input": shape}}
    path.write_text(json.dumps(facts))
    assert said in netadapt.refused_at_once("lut validate table")


@pytest.mark.parametrize(("field", "value"), cases(IN_A_CHECKPOINT))
def test_in_the_metadata_of_a_checkpoint(netadapt, here, field, value):
    with safe_open(netadapt.stock / "small.safetensors", "pt") as file:
        facts = json.loads(file.metadata()["netadapt"]) | {"checksum": None, field: value}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    save_file(tensors, here / "bad.safetensors", {"netadapt": json.dumps(facts)})
    line = netadapt.refused_at_once("info bad.safetensors")
    assert "checkpoint bad.safetensors" in line
    assert "Input should" not in line


@pytest.mark.parametrize(("field", "value"), cases(IN_A_RUN))
def test_in_the_settings_of_a_run(netadapt, here, field, value):
    shutil.copytree(netadapt.stock / "run", here / "mine")
    path = here / "mine/run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {field: value}))
    line = netadapt.refused_at_once("search --resume --out mine")
    assert "mine/run.json is damaged: " in line
    assert "Input should" not in line


@pytest.mark.parametrize("file", ["run.json", "targets.json", "config.json"])
@pytest.mark.parametrize("text", ["[" * 100_000, "[]", "5", "null", '{"a": 1}', "\x00", ""])
def test_in_the_json_of_a_folder(netadapt, here, file, text):
    (here / "mine").mkdir()
    (here / "mine" / file).write_text(text)
    command = "train" if file == "config.json" else "search"
    assert f"mine/{file} is damaged" in netadapt.refused_at_once(f"{command} --resume --out mine")


@pytest.mark.parametrize("text", DEVICES)
def test_in_a_list_of_devices(netadapt, here, text):
    (here / "devices.toml").write_text(text, errors="surrogateescape")
    line = netadapt.refused_at_once(f"{PROFILE} --devices devices.toml")
    assert DEVICES[text] in line


@pytest.mark.parametrize("command", ON_THE_COMMAND_LINE)
def test_on_the_command_line(netadapt, command):
    assert ON_THE_COMMAND_LINE[command] in netadapt.refused_at_once(command)
