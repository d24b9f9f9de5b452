"""Commands small enough to be killed at each of their writes, and what they must end with."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pandas as pd
from fake_depth import config, fake_task
from faulty import faulty_case
from quick_profile import BRIEFEST, Stages, target
from search_case import search_on
from tiny_network import tiny

from netadapt.latency.table import LatencyTable
from netadapt.latency.validation import load_validation
from netadapt.profiling.profiler import profile
from netadapt.pruning import trace
from netadapt.training import run_training

A_ROW_AT_A_TIME = replace(BRIEFEST, chunk=1)


@dataclass(frozen=True)
class Command:
    """A command, in an empty folder or in one where it was killed, and its results there."""

    go_on: Callable[[Path], object]
    results: Callable[[Path], Mapping[str, object]]


def commands(folder: Path) -> dict[str, Command]:
    """Write what they need into ``folder``."""
    return {
        "search": Command(partial(search_on, faulty_case(folder)), _files),
        "train": Command(_train, _training),
        "profile-lut": Command(_profile, _table),
    }


def _files(out: Path) -> dict[str, object]:
    """Everything that was written, but for the lock, which says nothing."""
    files = [path for path in out.rglob("*") if path.is_file() and path.name != "run.lock"]
    return {str(path.relative_to(out)): path.read_bytes() for path in files}


def _train(out: Path) -> None:
    run_training(config(), fake_task(), out, resume=True)


def _training(out: Path) -> dict[str, object]:
    history = pd.read_csv(out / "history.csv", dtype=str).drop(columns="seconds")
    return _files(out) | {"history.csv": history.to_csv()}


def _profile(out: Path) -> None:
    table = LatencyTable.open(out, target("torch"))
    before = dict(table.rows)
    profile(trace(*tiny()), table, Stages(), A_ROW_AT_A_TIME)
    assert before.items() <= LatencyTable.load(table.folder).rows.items()


def _table(out: Path) -> dict[str, object]:
    """All but what the clock said."""
    (folder,) = out.iterdir()
    table, validation = LatencyTable.load(folder), load_validation(folder)
    said = [name for name in validation.columns if name.endswith("_ms")]
    return {
        "workloads": set(table.rows),
        "protocol": table.target.protocol,
        "calibrated": bool(table.target.calibrations),
        "validation": validation.drop(columns=said).to_csv(),
    }
