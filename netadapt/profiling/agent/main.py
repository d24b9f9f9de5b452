"""The agent's command line: one file that measures on a machine without netadapt.

``describe --runtime R`` prints what the machine is; ``receive FOLDER`` unpacks a zip from stdin;
``run FOLDER`` runs the job there and prints its records, with ``--receive`` after unpacking a zip
from stdin. A bundle, which brings its own job, is started without arguments.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from netadapt.profiling.agent import host, offline, precision
from netadapt.profiling.agent.job import FORMAT, run_job
from netadapt.profiling.agent.runtimes import BOARD_RUNTIMES, BoardError

if TYPE_CHECKING:
    from collections.abc import Sequence

USER_ERROR = 2
INTERRUPTED = 130


def main(arguments: Sequence[str], archive: Path) -> int:
    """Run a command and return the exit code: 0, 2 with one line on stderr, or 130.

    Args:
        arguments: of the command line.
        archive: the file that this program is.
    """
    try:
        if not arguments and offline.is_bundle(archive):
            offline.run(archive, Path())
        else:
            _command(arguments)
    except BoardError as error:
        line = " ".join(str(error).split())
        print(f"error: {line}", file=sys.stderr)
        return USER_ERROR
    except KeyboardInterrupt:
        print("interrupted; start again to go on", file=sys.stderr)
        return INTERRUPTED
    except BrokenPipeError:  # whoever listened is gone; what is measured is on the disk
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    return 0


def _command(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser("netadapt-agent", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("describe").add_argument("--runtime", required=True, choices=BOARD_RUNTIMES)
    commands.add_parser("receive").add_argument("folder", type=Path)
    run = commands.add_parser("run")
    run.add_argument("folder", type=Path)
    run.add_argument("--receive", action="store_true")
    given = parser.parse_args(arguments)
    if given.command == "describe":
        _say(describe(given.runtime))
    elif given.command == "receive":
        _receive(given.folder)
        _say({"received": True})
    else:
        if given.receive:
            _receive(given.folder)
        run_job(given.folder, _say)
        _say({"done": True})


def describe(runtime: str) -> dict[str, Any]:
    """Say what this machine is, and which version of ``runtime`` it has."""
    return {
        "agent": FORMAT,
        "hardware": host.hardware(),
        "system": host.system(),
        "clock": host.clock(),
        "cores": sorted(host.cores()),
        "features": sorted(host.cpu_features() & set(precision.KNOWN)),
        "runtime": runtime,
        "runtime_version": BOARD_RUNTIMES[runtime].version(),
    }


def _receive(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    parcel = folder / f"parcel-{os.getpid()}.zip"
    try:
        with parcel.open("wb") as file:
            for block in iter(lambda: sys.stdin.buffer.read(1 << 20), b""):
                file.write(block)
        offline.unpack(parcel, folder)
    except (OSError, zipfile.BadZipFile) as error:
        raise BoardError(f"cannot receive a job in {folder}: {error}") from error
    finally:
        parcel.unlink()


def _say(record: dict[str, Any]) -> None:
    print(json.dumps(record), flush=True)
