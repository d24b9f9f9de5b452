"""Every text or array file from outside: byte-order marks do nothing, damage is told plainly."""

import ast
import json
import random
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import netadapt
from netadapt.depth.data.camera import read_camera
from netadapt.depth.data.pairs import open_pairs
from netadapt.depth.data.tum import open_tum
from netadapt.depth.data.velodyne import read_calibration
from netadapt.errors import UserError
from netadapt.latency.table import LatencyTable
from netadapt.latency.validation import load_validation
from netadapt.profiling.fleet import read_fleet
from netadapt.profiling.results import load_results
from netadapt.report.events import read_events
from netadapt.report.samples import read_samples
from netadapt.report.settings import read_json, read_settings
from netadapt.report.tables import read_table
from netadapt.search.input_sizes import resume_sizes
from netadapt.search.journal import Journal
from netadapt.search.run_folder import RunFolder
from netadapt.search.targets import resume_targets
from netadapt.texts import text_of
from netadapt.training import read_config
from netadapt.training.checkpoint import load_checkpoint
from netadapt.training.folder import read_history

BOM = b"\xef\xbb\xbf"
MATRIX = "P_rect_02: 9 0 4 0 0 9 4 0 0 0 1 0\n"
CAMERA = '{"width": 64, "height": 48, "fx": 9, "fy": 9, "cx": 4, "cy": 4, "depth_unit_m": 0.002}'
SENTENCES = (  # of pydantic, json, tomllib, numpy, pandas, csv, zipfile and safetensors
    "Input should", "validation error", "load it unsafely", "allow_pickle", "pickle", "Expecting",
    "Extra data", "Invalid", "codec", "decode", "tokenizing", "C error", "No columns", "magic",
    "zip file", "Errno", "Header", "deserializing", "Expected", "at line", "char 0", "NUL",
)  # fmt: skip


@pytest.fixture(scope="session")
def sound(tmp_path_factory, stock) -> Path:
    """One of every file, in the folder that it belongs to; no test changes it."""
    folder = tmp_path_factory.mktemp("sound")
    for name in ("run", "training", "lut/made-up", "pairs"):
        shutil.copytree(stock / name, folder / name)
    run = json.loads((folder / "run/run.json").read_text())
    settings = {
        k: v for k, v in run.items() if k in RunFolder(folder / "run").settings().model_fields_set
    }
    (folder / "several").mkdir()
    (folder / "several/targets.json").write_text(json.dumps({"..": settings}))
    (folder / "several/sizes.json").write_text(json.dumps({"..": settings}))
    (folder / "devices.toml").write_text('[pi]\ndevice = "cpu"\nthreads = 1\n')
    fixture = Path(__file__).parent / "fixtures/bundle-results-format1.json"
    shutil.copy(fixture, folder / "results.json")
    (folder / "pairs/camera.json").write_text(CAMERA)
    rows = "".join(f"{number},{number % 4}\n" for number in range(12))
    (folder / "pairs/index.csv").write_text(f"index,block\n{rows}")
    shutil.copytree(folder / "pairs", folder / "tum")
    for listing, part in (("rgb", "rgb"), ("depth", "depth")):
        files = sorted((folder / "tum" / part).iterdir())
        lines = [f"{number} {part}/{file.name}\n" for number, file in enumerate(files)]
        (folder / f"tum/{listing}.txt").write_text("".join(lines))
    (folder / "kitti").mkdir()
    (folder / "kitti/calib_cam_to_cam.txt").write_text(
        f"S_rect_02: 64 48\nR_rect_00: 1 0 0 0 1 0 0 0 1\n{MATRIX}"
    )
    (folder / "kitti/calib_velo_to_cam.txt").write_text("R: 1 0 0 0 1 0 0 0 1\nT: 0 0 0\n")
    shutil.copy(stock / "tiny.safetensors", folder)
    return folder


def _pairs(folder: Path) -> Any:
    frames = open_pairs(folder / "pairs").train
    return [(frame.block, float(frame.decode()[1].max())) for frame in frames]


def _outside(resume: Callable[..., Any], folder: Path) -> str:
    """The runs lie outside their folder: refused, after all was read."""
    with pytest.raises(UserError) as caught:
        resume(folder / "several", {})
    if "lies outside" not in str(caught.value):
        raise caught.value
    return "read"


Read = Callable[[Path], Any]
TEXTS: dict[tuple[str, str], Read] = {
    ("run/run.json", "search"): lambda here: RunFolder(here / "run").settings(),
    ("run/run.json", "page"): lambda here: read_settings(here / "run"),
    ("run/journal.jsonl", "search"): lambda here: Journal(here / "run/journal.jsonl").events,
    ("run/journal.jsonl", "page"): lambda here: read_events(here / "run/journal.jsonl"),
    ("run/candidates.csv", "page"): lambda here: read_table(here / "run/candidates.csv").to_csv(),
    ("run/pareto.csv", "page"): lambda here: read_table(here / "run/pareto.csv").to_csv(),
    ("run/summary.json", "page"): lambda here: read_json(here / "run/summary.json", "summary"),
    ("several/targets.json", "search"): partial(_outside, resume_targets),
    ("several/sizes.json", "search"): partial(_outside, resume_sizes),
    ("training/config.json", "train"): lambda here: read_config(here / "training"),
    ("training/history.csv", "train"): lambda here: read_history(here / "training/history.csv", 2),
    ("lut/made-up/target.json", "table"): lambda here: (
        LatencyTable.load(here / "lut/made-up").target
    ),
    ("lut/made-up/latency.csv", "table"): lambda here: LatencyTable.load(here / "lut/made-up").rows,
    ("lut/made-up/validation.csv", "table"): lambda here: load_validation(
        here / "lut/made-up"
    ).to_csv(),
    ("devices.toml", "fleet"): lambda here: read_fleet(here / "devices.toml"),
    ("results.json", "bundle"): lambda here: load_results(here / "results.json"),
    ("pairs/camera.json", "pairs"): _pairs,
    ("pairs/index.csv", "pairs"): _pairs,
    ("pairs/camera.json", "sequence"): lambda here: read_camera(here / "pairs"),
    ("tum/rgb.txt", "tum"): lambda here: [f.name for f in open_tum(here / "tum").train],
    ("tum/depth.txt", "tum"): lambda here: [f.name for f in open_tum(here / "tum").train],
    ("kitti/calib_cam_to_cam.txt", "kitti"): lambda here: repr(
        read_calibration(here / "kitti", "02")
    ),
    ("kitti/calib_velo_to_cam.txt", "kitti"): lambda here: repr(
        read_calibration(here / "kitti", "02")
    ),
}
BINARIES: dict[tuple[str, str], Read] = {
    ("run/samples.npz", "page"): lambda here: read_samples(here / "run/samples.npz"),
    ("tiny.safetensors", "network"): lambda here: load_checkpoint(here / "tiny.safetensors"),
    ("tiny.safetensors", "weights"): lambda here: netadapt.load_model(
        "fastdepth", init_from=here / "tiny.safetensors"
    ),
}


@pytest.fixture
def copied(sound, tmp_path) -> Path:
    """A copy to change; what is not changed is a link."""
    return Path(shutil.copytree(sound, tmp_path / "here", copy_function=_link))


def _link(source: str, target: str) -> None:
    Path(target).hardlink_to(source)


def _write(path: Path, content: bytes) -> None:
    path.unlink()
    path.write_bytes(content)


@pytest.mark.parametrize(("file", "reader"), TEXTS)
def test_a_byte_order_mark_changes_nothing(sound, copied, file, reader):
    read = TEXTS[file, reader]
    before = read(copied)
    _write(copied / file, BOM + (copied / file).read_bytes())
    assert read(copied) == before


@pytest.mark.parametrize("file", ["latency.csv", "target.json"])
def test_a_table_may_come_back_from_a_spreadsheet(copied, file):
    """With a byte-order mark and other ends of lines; rows can be added to it."""
    path = copied / "lut/made-up" / file
    before = LatencyTable.load(path.parent)
    _write(path, BOM + path.read_bytes().replace(b"\n", b"\r\n"))
    again = LatencyTable.load(path.parent)
    assert (again.rows, again.target) == (before.rows, before.target)


def test_a_journal_with_a_byte_order_mark_goes_on(copied):
    path = copied / "run/journal.jsonl"
    *lines, _ = path.read_bytes().splitlines(keepends=True)
    last = Journal(path).events[-1]
    _write(path, BOM + b"".join(lines))
    Journal(path).append(last)
    assert Journal(path).events[-1] == last


def _torn(content: bytes) -> bytes:
    return content[: len(content) // 2]


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "noise": lambda _: random.Random(0).randbytes(900) + b"\n",
    "torn": _torn,
    "empty": lambda _: b"",
    "null bytes": lambda content: b"\0" * len(content),
    "utf-16": lambda content: content.decode(errors="replace").encode("utf-16"),
    "quote": lambda content: b'"' + content,
    "no value": lambda _: b"{\n",
    "nested": lambda _: b"[" * 100_000,
    "digits": lambda _: b'{"format": ' + b"9" * 5000 + b"}\n",
    "commas": lambda _: b"," * 1_000_000 + b"\n1\n",
    "another kind": lambda _: b'{"a": {"b": [1, "x", null]}, "event": "started", "base": 5}\n',
}


@pytest.mark.parametrize(("file", "reader"), [*TEXTS, *BINARIES])
def test_damage_is_told_in_plain_words_with_the_file(copied, file, reader):
    read = (TEXTS | BINARIES)[file, reader]
    whole = (copied / file).read_bytes()
    refused = 0
    for damage in DAMAGE.values():
        _write(copied / file, damage(whole))
        try:
            read(copied)
        except UserError as error:
            line = str(error)
        else:
            continue
        refused += 1
        assert Path(file).name in line
        assert "\n" not in line
        assert len(line) < 700
        assert not [words for words in SENTENCES if words in line], line
    assert refused >= len(DAMAGE) - 4


def test_samples_that_declare_more_than_fits_are_refused_before_any_memory_is_taken(tmp_path):
    import zipfile

    header = np.lib.format.header_data_from_array_1_0(np.zeros(1, np.float32))
    header["shape"] = (30_000_000_000,)  # 120 GB
    with (
        zipfile.ZipFile(tmp_path / "samples.npz", "w") as archive,
        archive.open("rgb.npy", "w") as file,
    ):
        np.lib.format.write_array_header_1_0(file, header)
    with pytest.raises(UserError, match="its arrays take 120000000000 bytes; at most 2000000000"):
        read_samples(tmp_path / "samples.npz")


def test_arrays_of_objects_are_never_loaded(tmp_path):
    names = ("rgb", "truth", "names", "base", "pruned")
    objects: dict[str, Any] = dict.fromkeys(names, np.array([{}], dtype=object))
    np.savez(tmp_path / "samples.npz", **objects)
    with pytest.raises(UserError, match="not a file of samples, or is damaged") as caught:
        read_samples(tmp_path / "samples.npz")
    assert "load" not in str(caught.value)


def test_a_text_that_is_too_large_is_not_read(tmp_path):
    (tmp_path / "large").write_text("x" * 11)
    with pytest.raises(ValueError, match="it has 11 bytes; at most 10 are read"):
        text_of(tmp_path / "large", 10)


PARSERS = {
    "json.loads", "json.load", "tomllib.loads", "tomllib.load", "np.load", "pd.read_csv",
    "csv.reader", "csv.DictReader", "safe_open",
}  # fmt: skip
READERS = {  # each is in TEXTS or BINARIES above, or reads what no user can have written
    "texts.py": "all JSON and TOML",
    "report/tables.py": "the tables of a run",
    "report/events.py": "the journal for the page",
    "report/samples.py": "samples.npz",
    "latency/table.py": "latency.csv",
    "latency/validation.py": "validation.csv",
    "training/folder.py": "history.csv",
    "training/checkpoint.py": "checkpoints",
    "models/weights.py": "weights of others",
    "depth/data/pairs.py": "index.csv",
    "profiling/results.py": "results of a bundle",
    "search/search_run.py": "tables that this process has just written",
    "cli/common.py": "words of the command line",
    "profiling/server.py": "a child of this process",
    "profiling/devices/ssh.py": "the agent's lines, validated",
    "depth/data/synthetic.py": "the cache of rooms: what is damaged is drawn anew",
}


def test_no_other_module_parses_files():
    package = Path(netadapt.__file__).parent
    found = set()
    for path in package.rglob("*.py"):
        name = path.relative_to(package).as_posix()
        if name.startswith("profiling/agent/"):
            continue  # on the board: reads its own files
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in PARSERS:
                found.add(name)
    assert found == READERS.keys()
