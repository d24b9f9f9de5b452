"""A bundle measured by an arm64 Python under qemu, and its results imported here.

make test-arm64, or PYTHONPATH=.:tests/profiling python tests/arm64/smoke.py [3.11 3.9]

It proves that the agent runs there to the end, not how fast a board is: an emulator's times mean
nothing. The unpacked systems are kept in ~/.cache/netadapt-arm64.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
from quick_profile import BRIEFEST, Stages
from root import BOARDS, build
from tiny_network import tiny

from netadapt.latency.predictor import LatencyPredictor
from netadapt.latency.target import Options
from netadapt.profiling.bundle import import_results, write_bundle
from netadapt.profiling.runtimes import load_runtime
from netadapt.pruning import PrunableModel, trace

CACHE = Path(os.environ.get("NETADAPT_ARM64", "~/.cache/netadapt-arm64")).expanduser()
LIMIT_S = 1800


def main() -> None:
    """Run the bundle under each Python that was asked for."""
    model, _ = tiny()
    prunable = trace(model, torch.rand(1, 3, 16, 16))
    for version in sys.argv[1:] or BOARDS:
        with tempfile.TemporaryDirectory(prefix="netadapt-arm64-") as folder:
            smoke(prunable, version, Path(folder))


def smoke(prunable: PrunableModel, version: str, folder: Path) -> None:
    """Write a bundle, measure it under ``version`` of Python and import what came of it."""
    write_bundle(prunable, load_runtime("onnxruntime"), Options(), folder / "tiny.zip", BRIEFEST)
    results = measured(version, folder)
    table, report = import_results(results, folder / "lut", Stages())
    assert table.target.system.endswith("aarch64"), table.target.system
    assert report.added == len(table.rows) > 0
    assert LatencyPredictor(prunable, table)({}) > 0
    print(f"Python {version}: {len(table.rows)} workloads, {table.target.slug}")


def measured(version: str, folder: Path) -> Path:
    """Run ``folder/tiny.zip`` there; return the results file that it leaves."""
    root = build(BOARDS[version], CACHE)
    work = root / "work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    shutil.copy(folder / "tiny.zip", work)
    # in a world of its own, which has /proc but not this machine's /sys: onnxruntime needs the
    # first, and fails on a /sys that describes another kind of processor
    inside = ["unshare", "--map-root-user", "--mount", "--pid", "--fork"]
    inside += ["--mount-proc", "--root", str(root), "--wd", "/work"]
    inside += ["/qemu", "-E", "PYTHONPATH=/wheels", f"/usr/bin/python{version}", "tiny.zip"]
    subprocess.run(inside, check=True, timeout=LIMIT_S)
    (results,) = work.glob("netadapt-results-*.json")
    return results


if __name__ == "__main__":
    main()
