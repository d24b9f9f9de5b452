"""What SECURITY.md says beside names of code (test_trust): pickles, networks, pixels, bundles."""

import ast
import json
import os
import shutil
import struct
import sys
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import netadapt as package
from netadapt.errors import UserError
from netadapt.factories import TRUST
from netadapt.profiling.agent.offline import digest
from netadapt.profiling.agent_file import agent_files
from netadapt.profiling.devices import load_device
from netadapt.profiling.runtimes import load_runtime

ROOT = Path(package.__file__).parent
FIXTURES = Path(__file__).parents[1] / "fixtures"
CODE = """
import os
from pathlib import Path

Path(os.environ["CANARY"]).write_text("ran")


def net(**options):
    Path(os.environ["CANARY"]).write_text("built")
"""


@pytest.fixture
def canary(here, monkeypatch) -> Iterator[Path]:
    """The module ``canary_net`` can be imported here; the file it writes when it is."""
    (here / "canary_net.py").write_text(CODE)
    mark = here.parent / "ran"
    monkeypatch.setenv("CANARY", str(mark))
    monkeypatch.delenv(TRUST, raising=False)
    yield mark
    sys.modules.pop("canary_net", None)


def calls() -> Iterator[tuple[str, ast.Call]]:
    for path in ROOT.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call):
                yield path.relative_to(ROOT).as_posix(), node


def test_no_pickle_is_written_and_none_is_loaded_but_as_weights():
    found = {}
    for path, call in calls():
        name = ast.unparse(call.func)
        options = {keyword.arg: ast.unparse(keyword.value) for keyword in call.keywords}
        if name == "torch.load":
            found[path] = options
            assert options["weights_only"] == "True"
        if name in ("np.load", "np.save"):
            found[path] = options
            assert options["allow_pickle"] == "False"
        assert name not in (
            "torch.save",
            "np.savez",
            "marshal.dump",
            "marshal.loads",
            "eval",
            "exec",
        )
        assert not name.startswith(("pickle.", "cloudpickle.", "shelve.", "joblib.", "dill."))
    assert {"models/weights.py", "report/samples.py"} <= found.keys()


class Harm:
    """Unpickling this writes the canary."""

    def __init__(self, mark: Path) -> None:
        self._mark = mark

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (f"touch {self._mark}",)


@pytest.mark.parametrize("suffix", [".pth", ".pt", ".pth.tar"])
def test_a_pickle_is_not_run(netadapt, here, canary, suffix):
    torch.save({"state_dict": Harm(canary)}, here / f"bad{suffix}")
    line = netadapt.refused(f"info bad{suffix}")
    assert "loading it could run code in it; only if you trust whoever made it" in line
    netadapt.refused(
        f"train --model fastdepth --init-from bad{suffix} --data pairs:@pairs --out new "
        "--input-size 32x32 --steps 1"
    )
    assert not canary.exists()


def results_that_name(model: str, path: Path) -> None:
    document = json.loads((FIXTURES / "bundle-results-format1.json").read_text())
    document["content"]["manifest"]["subject"]["model"] = model
    document["sha256"] = digest(document["content"])
    path.write_text(json.dumps(document))


def test_results_of_a_bundle_build_nothing_and_neither_does_their_table(netadapt, here, canary):
    results_that_name("canary_net:net", here / "results.json")
    imported = netadapt("profile-lut --import results.json --lut lut")
    assert imported.code == 0, imported.err
    table = Path(imported.out.strip())
    assert netadapt("lut show", table).code == 0
    assert "--trust canary_net" in netadapt.refused("lut validate", table, "--input-size 32x32")
    assert not canary.exists()


def test_results_of_a_bundle_that_name_python_itself_build_nothing(netadapt, here, canary):
    results_that_name("os:system", here / "results.json")
    table = Path(netadapt("profile-lut --import results.json --lut lut").out.strip())
    assert "damaged" in netadapt.refused("lut validate", table, "--input-size 32x32")


def test_a_bundle_brings_its_agent_and_no_other_code():
    """The factory is imported where the bundle is made, by the user's word; not from the bundle."""
    ours = {f"netadapt/profiling/agent/{path.name}" for path in ROOT.glob("profiling/agent/*.py")}
    packages = {"__main__.py", "netadapt/__init__.py", "netadapt/profiling/__init__.py"}
    brought = agent_files()
    assert ours <= set(brought) <= ours | packages
    for content in brought.values():
        for node in ast.walk(ast.parse(content)):
            if isinstance(node, ast.Call) and "import_module" in ast.unparse(node.func):
                known = ("'numpy'", "'netadapt.profiling.agent.' + self.name")
                assert ast.unparse(node.args[0]) in known


@pytest.mark.parametrize("field", ["precision", "provider", "model", "cpus", "threads"])
def test_a_list_of_devices_builds_nothing(netadapt, here, canary, field):
    text = f'[one]\ndevice = "cpu"\n{field} = "canary_net:net"\n'
    (here / "devices.toml").write_text(text)
    netadapt.refused_at_once(
        "profile-lut --devices devices.toml --model @tiny.safetensors --lut new"
    )
    assert not canary.exists()


def test_a_device_or_runtime_that_a_list_names_is_of_the_registry(here, canary):
    for load in (load_runtime, load_device):
        with pytest.raises(UserError, match="canary_net:net"):
            load("canary_net:net")
    assert not canary.exists()


def test_a_run_cannot_lie_outside_its_folder(netadapt, here, stock):
    settings = json.loads((stock / "run/run.json").read_text())
    for name in ("checksums", "score", "higher_is_better"):
        settings.pop(name, None)
    (here / "several").mkdir()
    for name in ("..", "../outside", "/tmp/outside", ""):
        (here / "several/targets.json").write_text(json.dumps({name: settings}))
        line = netadapt.refused_at_once("search --resume --out several")
        assert "targets.json is damaged: a run lies outside the folder" in line


def test_a_candidate_cannot_name_a_file_outside_its_run(netadapt, here, stock):
    shutil.copytree(stock / "run", here / "run")
    journal = here / "run/journal.jsonl"
    for place in ("../../x.safetensors", "/x.safetensors", "checkpoints/../x.safetensors"):
        first = json.loads(journal.read_text().splitlines()[0])
        first.pop("chain", None)
        first["base"]["checkpoint"] = place
        journal.write_text(json.dumps(first) + "\n")
        assert "base.checkpoint" in netadapt.refused("search --resume --out run")
        first["base"]["checkpoint"] = "checkpoints/0.safetensors"


def png_that_declares(width: int, height: int) -> bytes:
    def chunk(kind: bytes, content: bytes) -> bytes:
        sum_ = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", sum_)

    header = struct.pack(">IIBBBBB", width, height, 16, 0, 0, 0, 0)
    pixels = zlib.compress(b"\0" * 1000)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", pixels)


def test_pictures_that_declare_too_many_pixels_are_refused(tmp_path):
    from netadapt.depth.data.frames import read_depth, read_photo

    (tmp_path / "huge.png").write_bytes(png_that_declares(60_000, 60_000))
    for read in (read_photo, lambda path: read_depth(path, 0.001)):
        with pytest.raises(UserError, match=r"huge\.png"):
            read(tmp_path / "huge.png")


def test_arrays_of_a_recording_that_declare_too_many_pixels_are_refused(tmp_path):
    import h5py

    from netadapt.depth.data.nyu import open_nyu

    path = tmp_path / "train/kitchen_1/0.h5"
    path.parent.mkdir(parents=True)
    with h5py.File(path, "w") as file:
        file.create_dataset("rgb", (3, 20_000, 20_000), "u1", chunks=True)
        file.create_dataset("depth", (20_000, 20_000), "f4", chunks=True)
    (frame,) = open_nyu(tmp_path).train
    with pytest.raises(UserError, match=r"depth is float32 \(20000, 20000\)"):
        frame.decode()


def test_ray_is_told_to_tell_nobody_before_it_is_imported():
    body = ast.parse((ROOT / "search/executors/ray.py").read_text()).body
    lines = [ast.unparse(statement) for statement in body]
    told = lines.index("os.environ.setdefault('RAY_USAGE_STATS_ENABLED', '0')")
    first = next(place for place, line in enumerate(lines) if line.startswith("import ray"))
    assert told < first
    assert not [path for path, call in calls() if "urlopen" in ast.unparse(call.func)]
