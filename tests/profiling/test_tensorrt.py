"""TensorRT bundles, on files written by hand in the documented format (tests/fixtures/tensorrt)."""

import json
import os
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from quick_profile import BRIEF, Stages

from netadapt.errors import UserError
from netadapt.latency.fusion import FUSIONS
from netadapt.latency.predictor import LatencyPredictor
from netadapt.latency.table import LatencyTable
from netadapt.latency.target import Options
from netadapt.latency.workloads import workload_map
from netadapt.profiling import bundle
from netadapt.profiling.bundle import import_results, write_bundle
from netadapt.profiling.measurement import why_not_attached
from netadapt.profiling.runtimes import load_runtime
from netadapt.profiling.shared_weights import Graphs
from netadapt.profiling.tensorrt.layers import LayerBook
from netadapt.pruning import PrunableModel

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures" / "tensorrt"
SCHEDULE = replace(BRIEF, runs=1, rounds=2, validation_runs=3)
TRTEXEC = """#!/bin/sh
echo "&&&& RUNNING TensorRT.trtexec [TensorRT v100300] # trtexec"
echo "$@" >>"{calls}"
for word in "$@"; do
    file="${{word#*=}}"
    case "$word" in
    --onnx=*) [ -s "$file" ] || exit 1 ;;
    --saveEngine=*) echo an engine >"$file" ;;
    --exportProfile=*) cp "{fixtures}/profile.json" "$file" ;;
    --exportLayerInfo=*) cp "{fixtures}/layers.json" "$file" ;;
    --exportTimes=*) cp "{fixtures}/times.json" "$file" ;;
    esac
done
"""


@pytest.fixture(scope="module")
def packed(small: PrunableModel, graphs: Graphs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of the tiny network."""
    path = tmp_path_factory.mktemp("packed") / "tiny.zip"
    options = Options.parse(precision="fp16")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bundle, "Graphs", lambda *_, **__: graphs)
        write_bundle(small, load_runtime("tensorrt"), options, path, SCHEDULE)
    return path


def unpacked(packed: Path, folder: Path) -> Path:
    with zipfile.ZipFile(packed) as archive:
        archive.extractall(folder)
    return folder


def run(folder: Path, trtexec: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", str(folder / "run.sh")],
        env={**os.environ, "TRTEXEC": str(trtexec)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def returned(packed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of a device whose trtexec writes the files of tests/fixtures."""
    folder = unpacked(packed, tmp_path_factory.mktemp("device") / "it's a $folder")
    trtexec = folder.parent / "trt exec"
    trtexec.write_text(TRTEXEC.format(calls=folder.parent / "calls.txt", fixtures=FIXTURES))
    trtexec.chmod(0o755)
    done = run(folder, trtexec)
    assert done.returncode == 0, done.stderr
    return folder / done.stdout.strip()


def test_the_script_builds_every_engine_once_and_visits_it_in_every_round(returned: Path) -> None:
    calls = (returned.parents[1] / "calls.txt").read_text().splitlines()
    content = json.loads(returned.read_text())
    design, whole = (dict.fromkeys(content["graphs"][name]) for name in ("design", "whole"))
    built = [call for call in calls if "--onnx=" in call]
    assert len(built) == len({**design, **whole})
    assert all("--fp16" in call and "--profilingVerbosity=detailed" in call for call in built)
    profiled = [call for call in calls if "--exportProfile=" in call]
    assert len(profiled) == SCHEDULE.rounds * len(design)
    assert all("--dumpProfile" in call and "--warmUp=200" in call for call in profiled)
    timed = [call for call in calls if "--exportTimes=" in call]
    assert len(timed) == 2 * SCHEDULE.validation_rounds * len(whole)
    assert all("--iterations=3" in call for call in timed)
    assert len(calls) == len(built) + len(profiled) + len(timed)


def test_the_results_become_a_table(small: PrunableModel, returned: Path, tmp_path: Path) -> None:
    table, report = import_results(returned, tmp_path, Stages())
    target = table.target
    assert (target.device, target.runtime, target.runtime_version) == ("cuda", "tensorrt", "10.3.0")
    assert target.precision == "fp16"
    assert report.added == len(table.rows)
    mapped = workload_map(small.operations, FUSIONS["tensorrt"], "float16")
    row = json.loads(returned.read_text())["manifest"]["design"][0]
    found = [table.rows[one].p50_us for one in mapped.at(row)]
    # with the copy at the input; by metadata; with its activation; with the addition; ...
    assert found == [24.0, 30.0, 46.0, 30.0, 10.0, 17.0]
    assert LatencyPredictor(small, LatencyTable.load(table.folder))({}) == pytest.approx(0.2)
    assert why_not_attached(target) is not None


def test_a_finished_script_says_so_and_an_interrupted_one_goes_on(
    packed: Path, returned: Path, tmp_path: Path
) -> None:
    done = run(returned.parent, returned.parents[1] / "trt exec")
    assert done.stdout.strip() == returned.name
    assert "measured before" in done.stderr
    folder = tmp_path / "again"
    shutil.copytree(returned.parent, folder)
    (folder / returned.name).unlink()
    broken = run(folder, Path("/bin/false"))  # all is measured: nothing is called
    assert broken.returncode == 0, broken.stderr
    assert (folder / returned.name).read_bytes() == returned.read_bytes()


def test_what_the_device_lacks_is_one_line(packed: Path, tmp_path: Path) -> None:
    folder = unpacked(packed, tmp_path / "device")
    for trtexec, line in ((tmp_path / "none", "error: no trtexec at"), (Path("/bin/false"), "log")):
        done = run(folder, trtexec)
        assert done.returncode == 2
        assert line in done.stderr
        assert done.stderr.count("\n") == 1
        assert not list(folder.glob("netadapt-results-*"))


def layer(name: str, ms: float = 0.01) -> dict[str, Any]:
    return {"name": name, "timeMs": 30 * ms, "averageMs": ms, "percentage": 1}


def replaced(content: dict[str, Any], profile: list[dict[str, Any]]) -> None:
    for rounds in content["profiles"].values():
        rounds[:] = [profile] * len(rounds)


DAMAGES: list[tuple[Callable[[dict[str, Any]], object], str]] = [
    (lambda c: replaced(c, [{"count": 30}, layer("{ForeignNode[netadapt_op0_0...]}")]),
     "compiled {ForeignNode.* as one block"),
    (lambda c: replaced(c, [{"count": 30}, layer("netadapt_op0_0 + netadapt_op1_0")]),
     "no layer of the TensorRT engine names operation 3"),
    (lambda c: replaced(c, [{"count": 30}, layer("netadapt_op0_0", float("1e300"))]),
     "give 1000000000.0 or less"),
    (lambda c: replaced(c, [layer("netadapt_op0_0"), layer("netadapt_op1_0")]), "odd profile"),
    (lambda c: c["times"].popitem(), "lacks runs"),
    (lambda c: c["profiles"].popitem(), "lacks layers"),
    (lambda c: c["graphs"]["design"].pop(), "networks are missing"),
    (lambda c: c["graphs"]["design"].__setitem__(0, "../../x.onnx"), "does not match"),
    (lambda c: c.update(version="; rm"), "does not match"),
    (lambda c: c["manifest"].update(runtime="torch"), "another runtime"),
    (lambda c: c.update(hardware="a\nb"), "does not match"),
    (lambda c: c.update(more=1), "not known"),
]  # fmt: skip


@pytest.mark.parametrize(("damage", "line"), DAMAGES)
def test_damaged_results_are_refused_in_one_line(
    returned: Path, tmp_path: Path, damage: Callable[[dict[str, Any]], object], line: str
) -> None:
    content = json.loads(returned.read_text())
    damage(content)
    (tmp_path / "results.json").write_text(json.dumps(content))
    with pytest.raises(UserError, match=line) as refused:
        import_results(tmp_path / "results.json", tmp_path / "lut", Stages())
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "lut").exists()


def test_merged_layers_count_towards_the_convolution_and_views_towards_what_precedes() -> None:
    book = LayerBook([[0], [1, 2], [3], [4]], ["pad_constant", "conv2d", "concat", "add"], 5)
    layers = [
        ("Reformatting CopyNode for Network Input x", 0.001),
        ("netadapt_op0_0 + netadapt_op1_0", 0.010),
        ("PWN(PWN(netadapt_op2_0), netadapt_op2_1)", 0.002),
        ("node_view_7", 0.003),
        ("netadapt_op4_0", 0.004),
    ]
    np.testing.assert_allclose(book.microseconds(layers, {}), [0, 11, 5, 0, 4])


@pytest.mark.parametrize(
    ("given", "line"),
    [({"threads": 4}, "--threads 4 is for CPUs"), ({"cpus": "0"}, "--cpus 0 is for CPUs")],
)
def test_options_of_a_cpu_are_refused(
    small: PrunableModel, tmp_path: Path, given: dict[str, object], line: str
) -> None:
    with pytest.raises(UserError, match=line):
        write_bundle(
            small, load_runtime("tensorrt"), Options.parse(**given), tmp_path / "b.zip", SCHEDULE
        )
    assert not list(tmp_path.iterdir())


def test_nothing_but_a_bundle_measures_it() -> None:
    with pytest.raises(UserError, match=r"--runtime tensorrt --bundle FILE\.zip"):
        load_runtime("tensorrt").version()
