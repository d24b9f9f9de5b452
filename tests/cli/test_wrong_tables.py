"""Latency tables that are missing, damaged or another target's; budgets that cannot be met."""

import json
import random
import re
import shutil
from pathlib import Path

import pytest

SEARCH = "search --checkpoint @small.safetensors --data pairs:@pairs --out new --lut"
USERS = {
    "search": f"{SEARCH} lut/t --budget-ms 150",
    "info of the table": "info lut/t",
    "info of a network": "info @small.safetensors --lut lut/t",
}


@pytest.fixture
def table(here, stock) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(stock / "lut" / "made-up", here / "lut" / "t"))


def _noise(path: Path) -> None:
    path.write_bytes(random.Random(0).randbytes(3000))


def _line(number: int, old: str, new: str):
    def damage(path: Path) -> None:
        lines = path.read_text().splitlines(keepends=True)
        assert old in lines[number - 1]
        lines[number - 1] = lines[number - 1].replace(old, new)
        path.write_text("".join(lines))

    return damage


def _field(name: str, value: object):
    def damage(path: Path) -> None:
        path.write_text(json.dumps(json.loads(path.read_text()) | {name: value}))

    return damage


def _row(**fields: str):
    """Write other fields into the third line: a column's name or its beginning."""

    def damage(path: Path) -> None:
        lines = path.read_text().splitlines()
        columns, row = lines[0].split(","), lines[2].split(",")
        for name, value in fields.items():
            (place,) = [place for place, column in enumerate(columns) if column.startswith(name)]
            row[place] = value
        lines[2] = ",".join(row)
        path.write_text("\n".join(lines) + "\n")

    return damage


def _calibration(**fields: object):
    def damage(path: Path) -> None:
        target = json.loads(path.read_text())
        target["calibrations"][0].update(fields)
        path.write_text(json.dumps(target))

    return damage


DAMAGE = {
    ("latency.csv", "removed"): (Path.unlink, "latency.csv does not exist"),
    ("latency.csv", "noise"): (_noise, "latency.csv is no latency table: it is not text in UTF-8"),
    ("latency.csv", "no header"): (lambda p: p.write_text("\n"), "line 1: expected the columns"),
    ("latency.csv", "a field more"): (_line(4, "\n", ",1\n"), "line 4 is damaged: 15 fields"),
    ("latency.csv", "no number"): (_line(3, "x", "y"), "line 3 is damaged"),
    ("latency.csv", "falling quantiles"): (
        _line(5, "float32,", "float32,9e9"),
        "line 5 is damaged",
    ),
    ("latency.csv", "no time"): (_row(p10="0.00", p50="0.00"), "a median from 0.01 to 1e+09"),
    ("latency.csv", "hardly any time"): (_row(p10="1e-300", p50="1e-300"), "a median from 0.01"),
    ("latency.csv", "endless time"): (_row(p90="1e300"), "a median from 0.01 to 1e+09"),
    ("latency.csv", "many channels"): (_row(out="1" * 20), "not an integer of at most 7 digits"),
    ("latency.csv", "more channels"): (_row(out="9999999"), "9999999 is larger than 1048576"),
    ("latency.csv", "no channels"): (_row(inputs="1x0x4x4"), "have a size below 1"),
    ("latency.csv", "many columns"): (_line(3, "\n", "," * 10**6 + "\n"), "line 3 is damaged"),
    ("target.json", "nested"): (lambda p: p.write_text("[" * 10**5), "is not a target"),
    ("target.json", "a cost below nothing"): (_calibration(workload_us=-1e300), "workload_us"),
    ("target.json", "no scale"): (_calibration(scale=0), "scale"),
    ("target.json", "an input that is none"): (_calibration(input="7x"), "input"),
    ("target.json", "a block of none"): (_calibration(channel_blocks={"": 0}), "channel_blocks"),
    ("target.json", "a vector of none"): (
        _calibration(channel_vectors={"conv2d depthwise": 0}),
        "channel_vectors",
    ),
    ("target.json", "cores downwards"): (_field("cpus", "1-0"), "1-0 counts downwards; write 0-1"),
    ("target.json", "noise"): (_noise, "target.json is not a target"),
    ("target.json", "torn"): (lambda p: p.write_text(p.read_text()[:90]), "is not a target"),
    ("target.json", "no object"): (lambda p: p.write_text("[]"), "is not a target"),
    ("target.json", "unknown field"): (_field("colour", "red"), "colour"),
    ("target.json", "no threads"): (_field("threads", 0), "threads"),
    ("target.json", "later version"): (_field("format", 2), "format"),
}


@pytest.mark.parametrize("damage", DAMAGE, ids=" ".join)
@pytest.mark.parametrize("command", USERS)
def test_a_damaged_table_is_named_with_its_line(netadapt, table, command, damage):
    change, words = DAMAGE[damage]
    change(table / damage[0])
    line = netadapt.refused_at_once(USERS[command])
    assert damage[0] in line
    assert words in line


@pytest.mark.parametrize("lut", ["missing", "@lut", "@empty", "@file", "@run"])
@pytest.mark.parametrize(
    "command", [f"{SEARCH} {{}} --budget-ms 9", "info @tiny.safetensors --lut {}"]
)
def test_what_is_no_table_is_named(netadapt, command, lut):
    line = netadapt.refused_at_once(command.format(lut))
    assert "latency table" in line
    assert netadapt.at_stock(lut) in line


def test_profiling_into_a_damaged_table_or_another_targets_changes_nothing(netadapt, here):
    profile = "profile-lut --model @small.safetensors --runtime torch --lut lut"
    target = _slug_of_torch(netadapt)
    shutil.copytree(netadapt.stock / "lut" / "board", here / "lut" / target)
    line = netadapt.refused_at_once(profile)
    assert "was measured on another target: hardware some board" in line
    (here / "lut" / target / "target.json").write_text("{")
    assert "is not a target" in netadapt.refused_at_once(profile)


def test_a_missing_entry_comes_with_the_command_that_measures_it(netadapt):
    line = netadapt.refused_at_once(
        "search --checkpoint @tiny.safetensors --input-size 64x64 --data pairs:@pairs",
        "--lut @lut/made-up --budget-ms 9 --out new",
    )
    assert "no entry for conv2d 3x3 3->16 stride 2x2 at 64x64 in" in line
    assert "run: netadapt profile-lut --device cpu --runtime torch --threads 1" in line
    assert "--input-size 64x64" in line


def test_a_table_whose_profile_was_interrupted_asks_for_the_rest(netadapt, table):
    _field("calibrations", [])(table / "target.json")
    line = netadapt.refused_at_once(USERS["search"])
    assert "its profile was interrupted; run: netadapt profile-lut" in line


@pytest.mark.parametrize(
    "content",
    [
        "network,predicted_ms,measured_ms,repeat_ms\n",
        "network,predicted_ms,measured_ms,repeat_ms\n0,1,fast,1\n",
        "network,predicted_ms,measured_ms,repeat_ms\n0,1,0,1\n",
        "network,predicted_ms,measured_ms\n0,1,1\n",
        "",
        '"\n',
        "network,predicted_ms,measured_ms,repeat_ms\n0,1,1,1e300\n",
        "network,predicted_ms,measured_ms,repeat_ms,conv0\n0,1,1,1,8.5\n",
        "network,predicted_ms,measured_ms,repeat_ms,conv0\n0,1,1,1,99999999\n",
        "network,predicted_ms,measured_ms,repeat_ms" + ",c" * 10**6 + "\n",
        "network,predicted_ms,measured_ms,repeat_ms,energy_mj\n0,1,1,1,much\n",
    ],
    ids=range(11),
)
def test_a_validation_that_says_nothing_is_refused(netadapt, table, content):
    (table / "validation.csv").write_text(content)
    assert "validation.csv" in netadapt.refused_at_once("info lut/t")


def test_a_calibration_that_predicts_less_than_nothing_is_refused(netadapt, table):
    _calibration(workload_us=-1e6)(table / "target.json")
    for command in (USERS["search"], USERS["info of a network"]):
        line = netadapt.refused_at_once(command)
        assert "its calibration cannot be right; run: netadapt profile-lut" in line


@pytest.mark.parametrize("budget", ["0.001", "60"])
def test_a_budget_below_the_narrowest_network_is_refused_before_the_run(netadapt, budget):
    line = netadapt.refused_at_once(f"{SEARCH} @lut/made-up --budget-ms {budget}")
    assert f"budget {budget} ms cannot be met" in line
    assert "--lowest-share 0.125 and --channel-multiple 8" in line
    assert line.endswith("the network takes 106 ms")


def test_widths_narrower_than_the_table_are_refused_before_the_run(netadapt):
    line = netadapt.refused_at_once(
        f"{SEARCH} @lut/made-up --budget-ms 150 --channel-multiple 4 --lowest-share 0.2"
    )
    assert "--lowest-share 0.2 and --channel-multiple 4 allow widths that were not measured" in line
    assert "netadapt profile-lut " in line
    assert "--channel-multiple 4; or search only what is measured: " in line
    ways = re.search(r"measured: (--channel-multiple \d+) or (--lowest-share [\d.]+)$", line)
    assert ways is not None
    for way in ways.groups():
        option = way.split()[0]
        kept = {
            "--channel-multiple": "--lowest-share 0.2",
            "--lowest-share": "--channel-multiple 4",
        }
        again = netadapt.refused_at_once(
            f"{SEARCH} @lut/made-up --budget-ms 0.001 {way} {kept[option]}"
        )
        assert "budget 0.001 ms cannot be met" in again


def test_a_share_below_what_a_profile_measures_is_no_reason_to_profile(netadapt):
    line = netadapt.refused_at_once(
        f"{SEARCH} @lut/made-up --budget-ms 150 --lowest-share 0.01 --channel-multiple 1"
    )
    assert "profile-lut" not in line
    assert "search only what is measured: " in line


def test_a_budget_above_the_base_gives_the_base(netadapt, here):
    result = netadapt(f"{SEARCH} @lut/made-up --budget-ms 5000 --long-steps 1 --short-steps 1")
    assert result.code == 0
    assert result.out == "new/checkpoints/0.safetensors\n"
    assert "already" in result.err
    assert (here / "new" / "pareto.csv").exists()


def test_a_table_of_another_machine_gives_predictions_that_are_called_so(netadapt):
    result = netadapt(
        "search --checkpoint @small.safetensors --data pairs:@pairs --lut @lut/board",
        "--budget-ms 150 --long-steps 1 --short-steps 1 --out new",
    )
    assert result.code == 0
    assert "latencies are predicted, not measured: this machine has hardware" in result.err


def test_a_table_of_more_threads_than_cores_gives_predictions_too(netadapt, table):
    _field("threads", 4096)(table / "target.json")
    result = netadapt(USERS["search"], "--long-steps 1 --short-steps 1")
    assert result.code == 0
    assert "latencies are predicted, not measured: cannot use 4096 threads" in result.err


def _slug_of_torch(netadapt) -> str:
    return netadapt("benchmark @small.safetensors --runtime torch --runs 5").out.split()[-1]
