import json
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from quick_profile import BRIEF, Stages, wanted

from netadapt.errors import UserError
from netadapt.latency.predictor import LatencyPredictor
from netadapt.latency.target import Options
from netadapt.latency.validation import load_validation
from netadapt.profiling import bundle
from netadapt.profiling.agent.offline import digest
from netadapt.profiling.bundle import import_results, write_bundle
from netadapt.profiling.devices import load_device
from netadapt.profiling.results import load_results
from netadapt.profiling.runtimes import load_runtime
from netadapt.profiling.shared_weights import Graphs
from netadapt.pruning import PrunableModel

# runs a zip as `python3 FILE.zip` does, and then tells what was imported
WATCHED = """
import json, runpy, sys
sys.argv[:] = sys.argv[1:]
try:
    runpy.run_path(sys.argv[0], run_name="__main__")
except SystemExit as exit:
    assert not exit.code, exit.code
ours = [m.__file__ for name, m in sys.modules.items() if name.split(".")[0] == "netadapt"]
print(json.dumps({"ours": ours, "torch": "torch" in sys.modules}))
"""


@pytest.fixture(scope="module")
def packed(small: PrunableModel, graphs: Graphs, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bundle of the tiny network."""
    path = tmp_path_factory.mktemp("packed") / "tiny.zip"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bundle, "Graphs", lambda *_, **__: graphs)
        write_bundle(small, load_runtime("onnxruntime"), Options(), path, BRIEF)
    return path


def run(archive: Path, here: Path, *code: str) -> subprocess.CompletedProcess[str]:
    here.mkdir(exist_ok=True)
    return subprocess.run(
        [sys.executable, "-I", *code, archive],
        cwd=here,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def returned(packed: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results that came back of it."""
    here = tmp_path_factory.mktemp("device")
    done = run(packed, here, "-c", WATCHED)
    assert done.returncode == 0, done.stderr
    name, watched = done.stdout.splitlines()
    assert json.loads(watched)["torch"] is False
    assert all(str(path).startswith(f"{packed}/") for path in json.loads(watched)["ours"])
    assert [path.name for path in here.iterdir()] == [name]
    return here / name


def test_a_bundle_becomes_the_table_of_where_it_ran(
    small: PrunableModel, packed: Path, returned: Path, tmp_path: Path
) -> None:
    stages = Stages()
    table, report = import_results(returned, tmp_path, stages)
    assert stages.steps == stages.totals
    assert set(table.rows) == wanted(small, "onnxruntime")
    assert report.added == report.workloads == len(table.rows)
    here = load_device("cpu").target(load_runtime("onnxruntime"))
    assert table.target.difference(here) is None  # this machine was the device
    assert table.folder.name == here.slug
    assert table.target.protocol["rounds"] == 1
    assert len(load_validation(table.folder)) == BRIEF.validation_networks
    assert LatencyPredictor(small, table)({}) > 0

    before = {path.name: path.read_bytes() for path in table.folder.iterdir()}
    again, second = import_results(returned, tmp_path, Stages())
    assert second.added == 0
    assert {path.name: path.read_bytes() for path in again.folder.iterdir()} == before


def test_a_finished_bundle_says_so_and_measures_nothing_again(packed: Path, returned: Path) -> None:
    before = returned.read_bytes()
    done = run(packed, returned.parent)
    assert done.returncode == 0
    assert "measured before" in done.stderr
    assert done.stdout.strip() == returned.name
    assert returned.read_bytes() == before


def test_an_interrupted_bundle_goes_on(packed: Path, tmp_path: Path) -> None:
    here = tmp_path / "device"
    here.mkdir()
    first = subprocess.Popen(
        [sys.executable, "-I", packed], cwd=here, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert first.stderr is not None
    for _ in range(3):
        assert next(first.stderr).endswith(b"networks\n")
    first.kill()
    first.communicate()
    (folder,) = here.iterdir()
    kept = (folder / "results.jsonl").read_text().splitlines()
    assert len(kept) >= 3
    done = run(packed, here)
    assert done.returncode == 0, done.stderr
    (results,) = here.iterdir()
    measured = load_results(results).operations_us
    whole = [json.loads(line) for line in kept if line.endswith("}") and '"us"' in line]
    assert [record["us"] for record in whole] == measured[: len(whole)]


def test_a_bundle_says_how_to_run_it(packed: Path, returned: Path) -> None:
    with zipfile.ZipFile(packed) as file:
        readme = file.read("README.txt").decode()
        assert file.testzip() is None
    assert "python3 tiny.zip" in readme
    assert "pip install numpy onnxruntime" in readme
    assert f"netadapt profile-lut --import {returned.name}" in readme


def test_a_device_without_the_runtime_is_told_before_anything_is_timed(
    packed: Path, tmp_path: Path
) -> None:
    done = run(packed, tmp_path / "device", "-S")
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert "-m pip install numpy onnxruntime" in line


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.9, 0.999999])
def test_a_truncated_file_is_refused(returned: Path, tmp_path: Path, share: float) -> None:
    content = returned.read_bytes()
    torn = tmp_path / "torn.json"
    torn.write_bytes(content[: int(len(content) * share)])
    refused(torn, tmp_path, "is cut off or is no results file")


def change(*path: object, to: object) -> Callable[[dict], None]:
    def apply(content: dict) -> None:
        inner = content
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = to

    return apply


TAMPERED = [
    change("operations_us", 0, 0, 0, to=0.5),
    change("hardware", to="a faster one"),
    change("manifest", "design", 0, 0, to=8),
]
FORGED = {
    "negative": (change("operations_us", 1, 0, 0, to=-1.0), "operations_us.1.0.0"),
    "huge": (change("operations_us", 1, 0, 0, to=1e300), "operations_us.1.0.0"),
    "text": (change("operations_us", 1, 0, 0, to="1"), "operations_us.1.0.0"),
    "no time": (change("whole_seconds", 0, 0, 0, to=0.0), "whole_seconds.0.0.0"),
    "too few runs": (change("operations_us", 0, to=[]), "operations are missing"),
    "too few rounds": (change("whole_seconds", to=[]), "whole networks are missing"),
    "another field": (change("path", to="/etc/passwd"), "path"),
    "an identity": (change("manifest", "id", to="../../x"), "manifest.id"),
    "no runs": (change("manifest", "schedule", "runs", to=0), "operations are missing"),
    "no chunk": (change("manifest", "schedule", "chunk", to=0), "the schedule cannot be"),
    "no widths": (change("manifest", "design", 0, to=[]), "a network lacks groups"),
    "no workload": (change("manifest", "design_executes", 0, 0, to=10**6), "not told"),
    "no operation": (change("manifest", "members", 0, to=[999]), "has no operations"),
    "two names": (change("manifest", "groups", 1, to="\n"), "manifest.groups.1"),
    "kind": (change("manifest", "workloads", 0, 0, to="=cmd()"), "is no kind"),
    "threads": (change("manifest", "options", "threads", to=-1), "options.threads"),
    "runtime": (change("manifest", "runtime", to="abacus"), "unknown runtime 'abacus'"),
    "format": (change("format", to=2), "format 1"),
    "date": (change("date", to="../.."), "date"),
}


def altered(returned: Path, alter: Callable[[dict], None], to: Path, *, sealed: bool) -> Path:
    document = json.loads(returned.read_bytes())
    alter(document["content"])
    if sealed:
        document["sha256"] = digest(document["content"])
    to.write_text(json.dumps(document))
    return to


@pytest.mark.parametrize("alter", TAMPERED)
def test_a_changed_file_is_refused(
    returned: Path, tmp_path: Path, alter: Callable[[dict], None]
) -> None:
    refused(altered(returned, alter, tmp_path / "r.json", sealed=False), tmp_path, "was changed")


@pytest.mark.parametrize("forged", FORGED)
def test_what_cannot_be_measured_is_refused_whatever_its_checksum(
    returned: Path, tmp_path: Path, forged: str
) -> None:
    alter, words = FORGED[forged]
    refused(altered(returned, alter, tmp_path / "r.json", sealed=True), tmp_path, words)


@pytest.mark.parametrize(
    "content", ["[]", "{}", "1", '{"sha256": "", "content": 3}', "NaN", "[" * 100_000, "\x00"]
)
def test_what_is_no_results_file_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "r.json"
    path.write_text(content)
    refused(path, tmp_path, "no results file")


def refused(path: Path, folder: Path, words: str) -> None:
    with pytest.raises(UserError) as error:
        import_results(path, folder / "lut", Stages())
    assert words in str(error.value)
    assert "\n" not in str(error.value)
    assert not (folder / "lut").exists()


def test_a_path_in_a_results_file_is_never_used(returned: Path, tmp_path: Path) -> None:
    alter = change("hardware", to="../../../../x")
    path = altered(returned, alter, tmp_path / "r.json", sealed=True)
    table, _ = import_results(path, tmp_path / "lut", Stages())
    assert table.folder.parent == tmp_path / "lut"
    assert ".." not in table.folder.parts


def test_networks_outside_what_was_designed_leave_nothing_behind(
    returned: Path, tmp_path: Path
) -> None:
    def outside(content: dict) -> None:
        manifest = content["manifest"]
        kind, inputs, _, *rest = manifest["workloads"][0]
        manifest["workloads"].append([kind, inputs, "99999", *rest])
        manifest["whole_executes"][-1][0] = len(manifest["workloads"]) - 1

    path = altered(returned, outside, tmp_path / "r.json", sealed=True)
    refused(path, tmp_path, "does not cover the networks")


def test_runtimes_that_need_torch_are_refused(small: PrunableModel, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="runtime torch is not for another machine"):
        write_bundle(small, load_runtime("torch"), Options(), tmp_path / "b.zip")
    assert list(tmp_path.iterdir()) == []
