"""A bundle: the agent and a job in one zip, which Python runs and which leaves one results file."""

from __future__ import annotations

import datetime
import hashlib
import json
import os
import re
import shutil
import sys
import zipfile
from pathlib import Path
from typing import Any

from netadapt.profiling.agent import host
from netadapt.profiling.agent.job import JOB_FILE, OPERATIONS, read_job, run_job
from netadapt.profiling.agent.runtimes import BOARD_RUNTIMES

JOB = "job/"
MANIFEST_FILE = "manifest.json"
FORMAT = 1


def is_bundle(archive: Path) -> bool:
    """Whether ``archive`` brings a job."""
    if not zipfile.is_zipfile(str(archive)):
        return False
    with zipfile.ZipFile(str(archive)) as file:
        return JOB + JOB_FILE in file.namelist()


def unpack(archive: Path, folder: Path, prefix: str = "") -> None:
    """Write the files of a zip into ``folder``, each whole or not at all.

    Only files directly under ``prefix`` with plain names are written.
    """
    with zipfile.ZipFile(str(archive)) as file:
        for info in file.infolist():
            name = info.filename[len(prefix) :]
            plain = re.match(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\Z", name)
            if not info.filename.startswith(prefix) or not plain:
                continue
            temporary = folder / (name + ".part")
            with file.open(info) as source, temporary.open("wb") as target:
                shutil.copyfileobj(source, target, 1 << 20)
            os.replace(str(temporary), str(folder / name))


def run(archive: Path, here: Path) -> Path:
    """Run a bundle's job in a folder under ``here``; return the results file written there.

    Interrupted and started again it goes on; finished, it only says so.
    """
    with zipfile.ZipFile(str(archive)) as file:
        identity = json.loads(file.read(JOB + MANIFEST_FILE))["id"]
    results = here / f"netadapt-results-{identity}.json"
    if results.exists():
        print("measured before; remove it to measure again:", file=sys.stderr)
    else:
        folder = here / f"netadapt-job-{identity}"
        folder.mkdir(exist_ok=True)
        unpack(archive, folder, JOB)
        job = read_job(folder)
        BOARD_RUNTIMES[
            job["runtime"]
        ].version()  # or says what to install, before anything is timed
        records = run_job(folder, _Told(job))
        manifest = json.loads((folder / MANIFEST_FILE).read_text(encoding="utf-8"))
        _write(results, _content(job, manifest, records))
        shutil.rmtree(str(folder))
    print(results)
    return results


def _content(
    job: dict[str, Any], manifest: dict[str, Any], records: list[dict[str, Any]]
) -> dict[str, Any]:
    profiled = {record["graph"]: record for record in records if "graph" in record}
    rounds = [record for record in records if "round" in record]
    energies = [one["energy_mj"] for one in rounds]
    graphs = [stage["graphs"] for stage in job["stages"] if stage["kind"] == OPERATIONS]
    return {
        "format": FORMAT,
        "manifest": manifest,
        "hardware": host.hardware(),
        "system": host.system(),
        "clock": host.clock(),
        "runtime_version": BOARD_RUNTIMES[job["runtime"]].version(),
        "date": datetime.date.today().isoformat(),
        "operations_us": [profiled[graph]["us"] for one in graphs for graph in one],
        "reference_us": [profiled[graph]["reference_us"] for one in graphs for graph in one],
        "whole_seconds": [one["seconds"] for one in rounds],
        "whole_runs": [one["runs"] for one in rounds],
        "whole_energy_mj": None if None in energies else energies,
    }


def digest(content: dict[str, Any]) -> str:
    """SHA-256 over what a results file says, however it is laid out."""
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def _write(path: Path, content: dict[str, Any]) -> None:
    temporary = path.with_name(path.name + ".part")
    with temporary.open("w", encoding="ascii") as file:
        json.dump({"sha256": digest(content), "content": content}, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(str(temporary), str(path))


class _Told:
    """Tells whoever watches a bundle run how far it is."""

    def __init__(self, job: dict[str, Any]) -> None:
        self._stages = {stage["key"]: stage for stage in job["stages"]}
        self._done = dict.fromkeys(self._stages, 0)

    def __call__(self, record: dict[str, Any]) -> None:
        if "stage" not in record:
            return
        stage = self._stages[record["stage"]]
        self._done[stage["key"]] += 1
        if stage["kind"] == OPERATIONS:
            what, total = "networks", len(stage["graphs"])
        else:
            what, total = f"rounds over {len(stage['graphs'])} networks", stage["rounds"]
        print(f"{self._done[stage['key']]}/{total} {what}", file=sys.stderr)
